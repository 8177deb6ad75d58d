"""Word documents: headings, paragraphs, lists and tables in reading order."""

import re
from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING
from zipfile import BadZipFile

from core.errors import UnreadableFile
from retrievers.base import LoadedDocument
from retrievers.loaders.assembly import Assembly
from retrievers.loaders.docx_tables import header_styles, read_table
from retrievers.loaders.properties import of_core
from retrievers.packages import DOCX, check_package

if TYPE_CHECKING:
    from docx.document import Document
    from lxml.etree import _Element  # type: ignore[import-untyped]  # lxml ships no types

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_HEADING_STYLE = re.compile(r"(?:heading|überschrift|titre|título|titolo) ?([1-9])$", re.IGNORECASE)
#: Deleted text, fields' instructions, and what repeats the text for older programs.
_DROPPED = frozenset(
    {f"{_W}del", f"{_W}moveFrom", f"{_W}instrText", "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"}
)


def load_docx(data: bytes, name: str) -> LoadedDocument:
    """Hidden and deleted text is left out; footnotes, headers and pictures are not read.

    Raises:
        UnreadableFile: `file_too_complex` (it would unpack to too much), `encrypted_file`, `corrupt_file`.
    """
    check_package(data)
    from docx import Document
    from docx.opc.exceptions import OpcError
    from lxml.etree import LxmlError

    try:
        document = Document(BytesIO(data))
    except (OpcError, LxmlError, BadZipFile, KeyError, ValueError, OSError, EOFError, AttributeError, NotImplementedError) as e:
        raise UnreadableFile("The Word document is damaged.", code="corrupt_file") from e
    assembly = Assembly()
    levels = _heading_levels(document)
    styles = header_styles(document.styles.element)
    for block in _blocks(document.element.body):
        if block.tag == f"{_W}tbl":
            rows, heads = read_table(block, _text, styles)
            assembly.table(rows, heads=heads)
        else:
            _add_paragraph(assembly, block, levels)
    return assembly.document(
        DOCX, title=document.core_properties.title or None, attributes=of_core(document.core_properties, data)
    )


def _heading_levels(document: "Document") -> dict[str, int]:
    """Style id → heading level, by the style's outline level or its name, its own or that of a style that it is based on."""
    levels: dict[str, int] = {}
    for style in document.styles.element.iter(f"{_W}style"):
        outline = style.find(f"{_W}pPr/{_W}outlineLvl")
        name = style.find(f"{_W}name")
        title = name.get(f"{_W}val", "") if name is not None else ""
        if outline is not None and outline.get(f"{_W}val", "9").isdigit():
            level = int(outline.get(f"{_W}val", "9")) + 1
        elif found := _HEADING_STYLE.match(title):
            level = int(found[1])
        else:
            level = 1 if title.lower() == "title" else 10
        if level <= 9:
            levels[style.get(f"{_W}styleId", "")] = level
    return levels


def _blocks(body: "_Element") -> Iterator["_Element"]:
    """Paragraphs and tables in order, those inside content controls included."""
    todo = list(reversed(body))
    while todo:
        element = todo.pop()
        if element.tag in (f"{_W}p", f"{_W}tbl"):
            yield element
        elif element.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}customXml", f"{_W}ins", f"{_W}smartTag"):
            todo.extend(reversed(element))


def _add_paragraph(assembly: Assembly, paragraph: "_Element", levels: dict[str, int]) -> None:
    text = _text(paragraph)
    style = paragraph.find(f"{_W}pPr/{_W}pStyle")
    style_id = style.get(f"{_W}val", "") if style is not None else ""
    if level := levels.get(style_id):
        assembly.heading(level, text)
    elif text.strip():
        is_item = paragraph.find(f"{_W}pPr/{_W}numPr") is not None or style_id.lower().startswith("list")
        assembly.prose(f"- {text.strip()}" if is_item else text)


def _text(element: "_Element") -> str:
    """What is seen of a paragraph or a cell; paragraphs in it end with a line end."""
    from lxml.etree import iterwalk

    texts: list[str] = []
    walk = iterwalk(element, events=("start", "end"))
    for event, inner in walk:
        if event == "end":
            if inner.tag == f"{_W}p" and inner is not element:
                texts.append("\n")
        elif inner.tag in _DROPPED or (inner.tag == f"{_W}r" and inner.find(f"{_W}rPr/{_W}vanish") is not None):
            walk.skip_subtree()
        elif inner.tag == f"{_W}t":
            texts.append(inner.text or "")
        elif inner.tag == f"{_W}tab":
            texts.append("\t")
        elif inner.tag in (f"{_W}br", f"{_W}cr"):
            texts.append("\n")
        elif inner.tag == f"{_W}noBreakHyphen":
            texts.append("-")
    return "".join(texts)
