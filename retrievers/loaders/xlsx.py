"""Excel workbooks: each sheet a page under its name; blocks of cells are tables, each row with the names of its columns."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from io import BytesIO
from typing import Any
from zipfile import BadZipFile

from core.errors import UnreadableFile
from retrievers.base import LoadedDocument
from retrievers.loaders.assembly import MAX_CHARACTERS, Assembly
from retrievers.packages import XLSX, check_package

#: Sheets are read row by row, so that they may be larger than what is held as a tree.
MAX_XML_BYTES = 256 * 2**20
_MAX_EMPTY_ROWS = 100_000


def load_xlsx(data: bytes, name: str) -> LoadedDocument:
    """What the cells show, formulas by the value that they had when the file was saved. Hidden sheets are left out, and
    counted; charts and comments are not read.

    Raises:
        UnreadableFile: `file_too_complex`, `encrypted_file`, `corrupt_file`.
    """
    check_package(data, max_xml_bytes=MAX_XML_BYTES)
    from defusedxml.common import DefusedXmlException
    from lxml.etree import LxmlError  # type: ignore[import-untyped]  # lxml ships no types
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    broken = (InvalidFileException, LxmlError, DefusedXmlException, BadZipFile, KeyError, ValueError, OSError, EOFError)
    assembly = Assembly()
    try:
        workbook = load_workbook(BytesIO(data), read_only=True, data_only=True, keep_links=False)
        names = workbook.sheetnames
        for number, sheet_name in enumerate(names, 1):
            sheet = workbook[sheet_name]
            if getattr(sheet, "sheet_state", "visible") == "visible" and hasattr(sheet, "reset_dimensions"):
                sheet.reset_dimensions()  # what the file says of them need not be so
                assembly.page(number, anew=True)
                _add_sheet(assembly, sheet_name, sheet)
        title = workbook.properties.title
    except (*broken, TypeError, AttributeError, IndexError, SyntaxError, NotImplementedError) as error:
        raise UnreadableFile("The workbook is damaged.", code="corrupt_file") from error
    return assembly.document(XLSX, title=title or None, pages=len(names))


def _add_sheet(assembly: Assembly, name: str, sheet: Any) -> None:
    named = False
    for block in _blocks(sheet.iter_rows()):
        if not named:
            assembly.heading(1, name)
            named = True
        # a line alone above a table says what it is
        while len(block) > 1 and _filled(block[0]) == 1 and _filled(block[1]) > 1:
            assembly.prose(next(text for text, _ in block[0] if text))
            block = block[1:]
        rows = [[text for text, _ in row] for row in block]
        if len(rows) == 1 and len(rows[0]) == 1:
            assembly.prose(rows[0][0])
        else:
            assembly.table(rows, header=_names_columns(block))


#: What a cell shows, and whether it is text.
_Cell = tuple[str, bool]


def _blocks(rows: Iterable[Iterable[Any]]) -> Iterator[list[list[_Cell]]]:
    """Rows between empty ones, without the columns that are empty in all of them."""
    block: list[list[_Cell]] = []
    empty = characters = 0
    for row in rows:
        cells = [_shown(cell) for cell in row]
        if any(text for text, _ in cells):
            block.append(cells)
            empty = 0
            characters += sum(len(text) for text, _ in cells)
            if characters > MAX_CHARACTERS:
                raise UnreadableFile(
                    f"The file holds more than {MAX_CHARACTERS:,} characters of text.", code="file_too_complex"
                )
            continue
        empty += 1
        if empty > _MAX_EMPTY_ROWS:
            break
        if block:
            yield _trimmed(block)
            block = []
    if block:
        yield _trimmed(block)


def _trimmed(block: list[list[_Cell]]) -> list[list[_Cell]]:
    used = [column for row in block for column, (text, _) in enumerate(row) if text]
    first, last = min(used), max(used)
    return [row[first : last + 1] for row in block]


def _shown(cell: Any) -> _Cell:
    value = cell.value
    if isinstance(value, str):
        return value.strip(), True
    if value is None:
        return "", False
    if isinstance(value, bool):
        return str(value).upper(), False
    if isinstance(value, int | float):
        if "%" in (cell.number_format or ""):
            return f"{value * 100:.10g}%", False
        return f"{value:.15g}", False
    return _moment(value), False


def _moment(value: object) -> str:
    if isinstance(value, datetime):
        whole_day = value.time() == time(0)
        return value.date().isoformat() if whole_day else value.isoformat(" ", "seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, timedelta) else ""


def _filled(row: Sequence[_Cell]) -> int:
    return sum(bool(text) for text, _ in row)


def _names_columns(block: Sequence[Sequence[_Cell]]) -> bool:
    """A first row of differing texts, at most its corner empty, above others."""
    first = [cell for cell in block[0] if cell[0]]
    texts = [text for text, is_text in first if is_text]
    return len(block) > 1 and len(texts) > 1 and len(texts) == len(first) == len(set(texts)) and len(block[0]) - len(first) < 2
