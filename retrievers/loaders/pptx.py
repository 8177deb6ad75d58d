"""PowerPoint presentations: each slide a page under its title, with text, tables, the numbers of charts, and notes."""

from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from core.errors import UnreadableFile
from retrievers.base import LoadedDocument
from retrievers.loaders.assembly import Assembly
from retrievers.loaders.grid import spread
from retrievers.loaders.headers import heading_rows, leaves_none_empty, marked_rows
from retrievers.loaders.properties import of_core
from retrievers.packages import PPTX, check_package

if TYPE_CHECKING:
    from pptx.slide import Slide

_MAX_GROUPS = 20


def load_pptx(data: bytes, name: str) -> LoadedDocument:
    """Hidden slides are left out, and counted; so are footers and numbers of slides. Pictures are not read.

    Raises:
        UnreadableFile: `file_too_complex` (it would unpack to too much), `encrypted_file`, `corrupt_file`.
    """
    check_package(data)
    from lxml.etree import LxmlError  # type: ignore[import-untyped]  # lxml ships no types
    from pptx import Presentation
    from pptx.exc import PythonPptxError

    broken = (PythonPptxError, LxmlError, BadZipFile, KeyError, ValueError, OSError, EOFError, AttributeError, TypeError)
    assembly = Assembly()
    try:
        presentation = Presentation(BytesIO(data))
        slides = list(presentation.slides)
        for number, slide in enumerate(slides, 1):
            if slide.element.get("show") not in ("0", "false"):
                assembly.page(number, anew=True)
                _add_slide(assembly, slide)
        title, told = presentation.core_properties.title, of_core(presentation.core_properties, data)
    except (*broken, NotImplementedError, IndexError) as error:
        raise UnreadableFile("The presentation is damaged.", code="corrupt_file") from error
    return assembly.document(PPTX, title=title or None, pages=len(slides), attributes=told)


def _add_slide(assembly: Assembly, slide: "Slide") -> None:
    title = slide.shapes.title
    if title is not None and title.has_text_frame:
        assembly.heading(1, title.text_frame.text)
    for shape in _shapes(slide.shapes, 0):
        if title is not None and shape.shape_id == title.shape_id:
            continue
        if getattr(shape, "has_table", False):
            _add_table(assembly, shape.table)
        elif getattr(shape, "has_chart", False):
            _add_chart(assembly, shape.chart)
        elif shape.has_text_frame and not _is_furniture(shape):
            _add_text(assembly, shape.text_frame)
    if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame) is not None and notes.text.strip():
        assembly.prose(f"Notes: {_lines(notes.text)}")


def _shapes(shapes: Iterable[Any], depth: int) -> Iterator[Any]:
    """All shapes in their order, those of groups in their place."""
    for shape in shapes:
        if hasattr(shape, "shapes"):
            if depth >= _MAX_GROUPS:
                raise UnreadableFile("The presentation is nested too deep.", code="file_too_complex")
            yield from _shapes(shape.shapes, depth + 1)
        else:
            yield shape


def _is_furniture(shape: Any) -> bool:
    from pptx.enum.shapes import PP_PLACEHOLDER

    if not shape.is_placeholder:
        return False
    return shape.placeholder_format.type in (PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.SLIDE_NUMBER, PP_PLACEHOLDER.DATE)


def _add_text(assembly: Assembly, frame: Any) -> None:
    paragraphs = [_lines(paragraph.text) for paragraph in frame.paragraphs]
    told = [text for text in paragraphs if text]
    assembly.prose("\n".join(told) if len(told) < 2 else "\n".join(f"- {text}" for text in told))


def _lines(text: str) -> str:
    """Line ends within a paragraph come as vertical tabs."""
    return text.replace("\v", "\n").strip()


def _add_table(assembly: Assembly, table: Any) -> None:
    placed = [
        [
            (cell.text, cell.span_width if cell.is_merge_origin else 1, cell.span_height if cell.is_merge_origin else 1)
            for cell in row.cells
            if not cell.is_spanned
        ]
        for row in table.rows
    ]
    rows = spread(placed)
    heads = heading_rows(rows)
    if not heads and table.first_row and leaves_none_empty(rows):
        heads = marked_rows(rows, [True, False])
    assembly.table(rows, heads=heads)


def _add_chart(assembly: Assembly, chart: Any) -> None:
    """The categories with a column for each series. Charts without categories tell nothing that could be read as text."""
    if chart.has_title and chart.chart_title.has_text_frame:
        assembly.prose(chart.chart_title.text_frame.text)
    for plot in chart.plots:
        series = list(plot.series)
        columns = [list(one.values) for one in series]
        rows = [["", *(one.name for one in series)]]
        for place, category in enumerate(plot.categories):
            rows.append([str(category), *(_number(column[place]) if place < len(column) else "" for column in columns)])
        if len(rows) > 1:
            assembly.table(rows, heads=1)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.15g}"
