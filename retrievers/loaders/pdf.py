"""PDF documents: the text layer page by page, with headings and paragraphs judged from how the lines are set."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from core.errors import UnreadableFile
from retrievers.base import LoadedDocument, Section
from retrievers.loaders.assembly import Assembly
from retrievers.loaders.encoding import clean
from retrievers.loaders.pdf_tables import Cell, Gap, Line, tables
from retrievers.loaders.properties import pdf_date, properties

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage, PdfTextPage  # type: ignore[import-untyped]  # it ships no types

MEDIA_TYPE = "application/pdf"
MAX_PAGES = 10_000

_PASSWORD_NEEDED = (4, 5)  # FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY
_TAIL_BYTES = 2048
#: A page with less text than this and a picture on it is a picture of text, as are pages that a picture mostly covers.
_FEW_CHARACTERS = 16
_FEW_ON_A_PICTURE = 200
_COVERED = 0.5

_HEADING_TO_BODY = 1.15
_MAX_HEADING_CHARACTERS = 160
_PARAGRAPH_GAP = 0.55  # of a line's height
#: Between words, in heights of a line; what is set to both margins has seldom more than half of it.
_CELL_GAP = 0.85
#: Between words of text that is set to one margin.
_WORD_GAP = 0.27
#: A gap that is so much wider than others of its line may be one between columns all the same: see `pdf_tables`.
_DOUBTFUL = 1.1
_BLANKS = re.compile(r"[ \t\xa0]+")
_SHORT_LINE = 0.8  # of the page's widest line
_BULLET = re.compile(r"(?:[•‣◦▪●○–—*-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")
_NUMBERED = re.compile(r"\(?\d{1,3}[.)]\s")
_HYPHEN_AT_END = ("\x02", "\ufffe", "\u00ad")
_FONT_NAME_BYTES = 256
_BOLD = re.compile(rb"bold|black|heavy")
_SENTENCE_END = (".", "!", "?", ":", ";", "…", ".”", ".)")


def load_pdf(data: bytes, name: str) -> LoadedDocument:
    """Text with the page of each stretch. Pages that are pictures are told in `unread_pages`.

    Raises:
        UnreadableFile: `encrypted_file`, `corrupt_file` (cut off, too), `file_too_complex`.
    """
    document = open_pdf(data)
    try:
        pages = len(document)
        lines: list[Line] = []
        unread: list[int] = []
        for number in range(1, pages + 1):
            found, pictured = _read_page(document, number)
            lines.extend(found)
            if pictured:
                unread.append(number)
        title, told = document.get_metadata_value("Title"), _properties(document)
    finally:
        document.close()
    loaded = _assemble(lines).document(MEDIA_TYPE, title=title or None, pages=pages, attributes=told)
    return replace(loaded, unread_pages=tuple(unread))


def _properties(document: "PdfDocument") -> dict[str, str]:
    told = document.get_metadata_value
    return properties(author=told("Author"), created=pdf_date(told("CreationDate")), modified=pdf_date(told("ModDate")))


def open_pdf(data: bytes) -> "PdfDocument":
    """The document, to be closed by the caller.

    Raises:
        UnreadableFile: `encrypted_file`, `corrupt_file`, or `file_too_complex` (too many pages).
    """
    from pypdfium2 import PdfDocument, PdfiumError

    tail = data[-_TAIL_BYTES:]
    if b"%%EOF" not in tail and b"startxref" not in tail:  # PDFium would show what is left as if it were all
        raise UnreadableFile("The PDF is cut off: its end is missing.", code="corrupt_file")
    try:
        document = PdfDocument(data)
        pages = len(document)
    except PdfiumError as error:
        if getattr(error, "err_code", None) in _PASSWORD_NEEDED:
            raise UnreadableFile("The PDF is protected with a password.", code="encrypted_file") from error
        raise UnreadableFile("The PDF is damaged and cannot be opened.", code="corrupt_file") from error
    if pages > MAX_PAGES:
        document.close()
        raise UnreadableFile(f"The PDF has more than {MAX_PAGES:,} pages.", code="file_too_complex")
    if pages == 0:
        document.close()
        raise UnreadableFile("The PDF has no pages.", code="corrupt_file")
    return document


def with_page_texts(document: LoadedDocument, texts: Mapping[int, str]) -> LoadedDocument:
    """The document with what OCR read on its unread pages, in the place of what stood there."""
    by_page: dict[int, list[Section]] = {page: [] for page in texts}
    for section in document.sections:
        by_page.setdefault(section.page or 1, []).append(section)
    parts: list[str] = []
    sections: list[Section] = []
    length = 0
    for page in sorted(by_page):
        existing = by_page[page]
        old = document.text[existing[0].start : existing[-1].end] if existing else ""
        new = clean(texts.get(page, "")).strip()
        separator = "\n\n" if parts else ""
        if len(new) > len(old):
            start = length + len(separator)
            added = [Section(start, start + len(new), page if document.pages else None)]
            old = new
        elif existing:
            shift = length + len(separator) - existing[0].start
            added = [replace(section, start=section.start + shift, end=section.end + shift) for section in existing]
        else:
            continue
        parts += [separator, old]
        length += len(separator) + len(old)
        sections += added
    return replace(document, text="".join(parts), sections=tuple(sections), unread_pages=())


def _read_page(document: "PdfDocument", number: int) -> tuple[list[Line], bool]:
    """The lines of a page, and whether the page is a picture of text. A page that cannot be opened is empty."""
    from pypdfium2 import PdfiumError

    try:
        page = document[number - 1]
        textpage = page.get_textpage()
    except PdfiumError:
        return [], False
    try:
        lines = list(_lines(textpage, number))
        characters = sum(len(line.text) for line in lines)
        pictured = characters < _FEW_ON_A_PICTURE and _pictured(page, few=characters < _FEW_CHARACTERS)
    finally:
        textpage.close()
        page.close()
    return lines, pictured


def _lines(textpage: "PdfTextPage", number: int) -> Iterator[Line]:
    from pypdfium2 import PdfiumError
    from pypdfium2.raw import (  # type: ignore[import-untyped]  # it ships no types
        FPDFText_GetCharIndexFromTextIndex as char_index,
    )

    offset = 0
    for raw in textpage.get_text_range().split("\r\n"):
        units = len(raw) if raw.isascii() else len(raw.encode("utf-16-le", "surrogatepass")) // 2
        bare = raw.rstrip(" \t")
        if bare.strip():
            first = char_index(textpage.raw, offset + len(raw) - len(raw.lstrip()))
            last = char_index(textpage.raw, offset + max(0, units - (len(raw) - len(bare)) - 1))
            try:
                left, bottom, _, top = textpage.get_charbox(max(first, 0), loose=True)
                right = textpage.get_charbox(max(last, 0), loose=True)[2]
            except PdfiumError:
                left = bottom = top = right = 0.0
            size = abs(top - bottom)
            cells = tuple(_cells(textpage, bare, offset, size, (left, right))) if units == len(raw) else ()
            told = bare.strip()
            cells = cells or (Cell(told, left, right),)
            bold = len(cells) > 1 and _is_bold(textpage, max(first, 0)) and _is_bold(textpage, max(last, 0))
            yield Line(told, number, size, left, right, bottom, top, cells, bold)
        offset += units + 2


def _is_bold(textpage: "PdfTextPage", place: int) -> bool:
    """Whether the character at this place is set in a bold font, by the font's name."""
    from ctypes import c_int, create_string_buffer

    from pypdfium2.raw import FPDFText_GetFontInfo as font_info

    name = create_string_buffer(_FONT_NAME_BYTES)
    length = font_info(textpage.raw, place, name, len(name), c_int())
    return 0 < length <= len(name) and _BOLD.search(name.value.lower()) is not None


def _cells(textpage: "PdfTextPage", text: str, offset: int, size: float, edges: tuple[float, float]) -> Iterator[Cell]:
    """What a line that begins at `offset` of the page's text holds between wide gaps."""
    from pypdfium2 import PdfiumError
    from pypdfium2.raw import FPDFText_GetCharIndexFromTextIndex as char_index

    found: list[Gap] = []
    indent = len(text) - len(text.lstrip())
    for blank in _BLANKS.finditer(text, indent):
        try:
            before = textpage.get_charbox(max(char_index(textpage.raw, offset + blank.start() - 1), 0), loose=True)
            behind = textpage.get_charbox(max(char_index(textpage.raw, offset + blank.end()), 0), loose=True)
        except PdfiumError:
            return
        found.append(Gap(blank.start(), blank.end(), before[2], behind[0]))
    narrow = [gap.width for gap in found if gap.width < _CELL_GAP * size]
    least = _DOUBTFUL * (min(narrow) if len(narrow) > 1 else _WORD_GAP * size)
    start, left, doubtful = indent, edges[0], list[Gap]()
    for gap in found:
        if gap.width >= _CELL_GAP * size > 0:
            yield Cell(text[start : gap.start], left, gap.left, tuple(doubtful))
            start, left, doubtful = gap.end, gap.right, []
        elif gap.width >= least > 0:
            doubtful.append(gap.moved(-start))
    yield Cell(text[start:], left, edges[1], tuple(doubtful))


def _pictured(page: "PdfPage", *, few: bool) -> bool:
    """Whether pictures cover the page; where there are `few` characters, whether it has any."""
    from pypdfium2 import PdfiumError
    from pypdfium2.raw import FPDF_PAGEOBJ_IMAGE

    try:
        width, height = page.get_size()
        for picture in page.get_objects(filter=[FPDF_PAGEOBJ_IMAGE], max_depth=4):
            left, bottom, right, top = picture.get_bounds()
            if few or (right - left) * (top - bottom) >= _COVERED * width * height:
                return True
    except PdfiumError:
        return few
    return False


def _assemble(lines: list[Line]) -> Assembly:
    assembly = Assembly()
    level_of = _heading_levels(lines)
    widest: Counter[int] = Counter()
    for line in lines:
        widest[line.page] = max(widest[line.page], int(line.right - line.left))
    paragraph: list[Line] = []
    level = 0

    def finish() -> None:
        if paragraph:
            text = _join(paragraph)
            if level:
                assembly.heading(level, text)
            else:
                assembly.prose(text)
            paragraph.clear()

    page = 0
    found = {table.first: table for table in tables(lines)}
    within = 0  # the end of the table that is being passed
    for number, line in enumerate(lines):
        if number < within:
            continue
        if table := found.get(number):
            finish()
            if line.page != page:
                page = line.page
                assembly.page(page)
            assembly.table(table.rows, heads=table.heads)
            within, level = table.end, 0
            continue
        is_level = level_of(line)
        if paragraph and (is_level != level or _starts_anew(paragraph[-1], line, widest[line.page])):
            finish()
        if line.page != page:
            finish()
            page = line.page
            assembly.page(page)
        level = is_level
        paragraph.append(line)
    finish()
    return assembly


class _heading_levels:  # noqa: N801 - called like the function that it stands for
    """Line → level of the heading that it is, 0 for none: lines set clearly higher than most text, higher is outer."""

    def __init__(self, lines: list[Line]) -> None:
        characters: Counter[float] = Counter()
        for line in lines:
            characters[round(line.size, 0)] += len(line.text)
        self._body = max(characters, key=lambda size: characters[size], default=0.0)
        higher = sorted({round(line.size, 0) for line in lines if self._stands_out(line)}, reverse=True)
        self._levels = {size: min(place, 4) for place, size in enumerate(higher, 1)}

    def _stands_out(self, line: Line) -> bool:
        return (
            self._body > 0
            and line.size >= self._body * _HEADING_TO_BODY
            and len(line.text) <= _MAX_HEADING_CHARACTERS
            and any(character.isalpha() for character in line.text)
        )

    def __call__(self, line: Line) -> int:
        return self._levels.get(round(line.size, 0), 0) if self._stands_out(line) else 0


def _starts_anew(before: Line, line: Line, widest: int) -> bool:
    """Whether `line` begins a paragraph rather than going on with that of the line before it."""
    if before.page != line.page or abs(before.size - line.size) > 0.1 * max(before.size, 1):
        return True
    if abs(before.bottom - line.bottom) < 0.3 * max(line.size, 1):
        return False  # on the same line
    gap = before.bottom - line.top
    if gap > _PARAGRAPH_GAP * line.size or gap < -2 * line.size:  # below at a distance, or further up: another column
        return True
    short = before.right - before.left < _SHORT_LINE * widest
    ended = short or before.text.endswith(_SENTENCE_END) or _NUMBERED.match(before.text)
    if _NUMBERED.match(line.text) and not ended:
        return False  # the end of a sentence whose last word is a number
    return bool(_BULLET.match(line.text)) or (short and (before.text.endswith(_SENTENCE_END) or line.text[:1].isupper()))


def _join(lines: list[Line]) -> str:
    """One text: words that were divided at a line's end are whole again; what stood beside each other is divided by tabs."""
    text = lines[0].text
    for before, line in pairwise(lines):
        if text.endswith(_HYPHEN_AT_END):
            text = text[:-1] + line.text
        elif text.endswith("-") and text[-2:-1].isalpha():
            text += line.text  # a hyphen that is spelled stays
        elif abs(before.bottom - line.bottom) < 0.3 * max(line.size, 1):
            text += "\t" + line.text
        else:
            text += " " + line.text
    return "".join(character for character in text if character not in _HYPHEN_AT_END)
