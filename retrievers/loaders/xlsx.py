"""Excel workbooks: each sheet a page under its name; blocks of cells are tables, each row with the names of its columns."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from io import BytesIO
from typing import Any
from zipfile import BadZipFile

from core.errors import UnreadableFile
from retrievers.base import LoadedDocument
from retrievers.loaders.assembly import MAX_CHARACTERS, Assembly
from retrievers.loaders.grid import Across, Copy, own
from retrievers.loaders.headers import heading_rows, marked_rows
from retrievers.loaders.properties import of_core
from retrievers.loaders.xlsx_merged import MergedCells, merged_cells
from retrievers.packages import XLSX, check_package

#: Sheets are read row by row, so that they may be larger than what is held as a tree.
MAX_XML_BYTES = 256 * 2**20
_MAX_EMPTY_ROWS = 100_000
_HEADS_ASKED = 3


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
        title, told = workbook.properties.title, of_core(workbook.properties, data)
    except (*broken, TypeError, AttributeError, IndexError, SyntaxError, NotImplementedError) as error:
        raise UnreadableFile("The workbook is damaged.", code="corrupt_file") from error
    sheets = {number: {"sheet": name} for number, name in enumerate(names, 1)}
    read = assembly.document(XLSX, title=title or None, pages=len(names), attributes=told)
    return replace(read, page_attributes=sheets)


def _add_sheet(assembly: Assembly, name: str, sheet: Any) -> None:
    named = False
    for block, is_bold in _blocks(sheet.iter_rows(), merged_cells(sheet)):
        if not named:
            assembly.heading(1, name)
            named = True
        # a line alone above a table says what it is
        while len(block) > 1 and len(own(block[0])) == 1 and len(own(block[1])) > 1 and not _is_heading(block[0]):
            assembly.prose(own(block[0])[0])
            block, is_bold = block[1:], is_bold[1:]
        if len(block) == 1 and len(own(block[0])) == 1:
            assembly.prose(own(block[0])[0])
        else:
            assembly.table(block, heads=heading_rows(block) or marked_rows(block, is_bold))


def _is_heading(row: Sequence[str]) -> bool:
    """Whether the only cell of a row reaches over some columns behind the first, as a name above names does."""
    return not row[0] and any(isinstance(cell, Across) for cell in row)


def _blocks(rows: Iterable[Iterable[Any]], merged: MergedCells) -> Iterator[tuple[list[list[str]], list[bool]]]:
    """Rows between empty ones, without the columns that are empty in all of them; and which of the first rows are bold."""
    block: list[list[str]] = []
    bold: list[bool] = []
    empty = characters = 0
    for number, row in enumerate(rows, 1):
        cells = merged.filled(number, [_shown(cell) for cell in row])
        if own(cells):
            block.append(cells)
            if len(bold) < _HEADS_ASKED:
                bold.append(_is_bold(row))
            empty = 0
            characters += sum(map(len, cells))
            if characters > MAX_CHARACTERS:
                raise UnreadableFile(
                    f"The file holds more than {MAX_CHARACTERS:,} characters of text.", code="file_too_complex"
                )
            continue
        if any(cells):
            continue  # what stands above reaches down to here
        empty += 1
        if empty > _MAX_EMPTY_ROWS:
            break
        if block:
            yield _trimmed(block), bold
            block, bold = [], []
    if block:
        yield _trimmed(block), bold


def _trimmed(block: list[list[str]]) -> list[list[str]]:
    used = [column for row in block for column, text in enumerate(row) if text and not isinstance(text, Copy)]
    first, last = min(used), max(used)
    return [row[first : last + 1] for row in block]


def _is_bold(row: Iterable[Any]) -> bool:
    return all(cell.font is not None and cell.font.b for cell in row if cell.value is not None)


def _shown(cell: Any) -> str:
    value = cell.value
    if isinstance(value, str):
        return value.strip()
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        if "%" in (cell.number_format or ""):
            return f"{value * 100:.10g}%"
        return f"{value:.15g}"
    return _moment(value)


def _moment(value: object) -> str:
    if isinstance(value, datetime):
        whole_day = value.time() == time(0)
        return value.date().isoformat() if whole_day else value.isoformat(" ", "seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, timedelta) else ""
