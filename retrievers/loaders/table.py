"""Tables of separated values: one line a row, each with the names of its columns."""

import csv
from collections.abc import Iterator

from core.errors import UnreadableFile
from retrievers.base import LoadedDocument
from retrievers.loaders.assembly import Assembly
from retrievers.loaders.encoding import clean, decode

_DELIMITERS = (",", ";", "\t", "|")
_LINES_ASKED = 20


def load_csv(data: bytes, name: str) -> LoadedDocument:
    """Comma, semicolon, tab or bar, whichever divides the first lines most evenly.

    Raises:
        UnreadableFile: `corrupt_file` (a quoted cell that does not end within the format's bounds), `file_too_complex`.
    """
    text = clean(decode(data))
    rows = _rows(text, _delimiter(text))
    try:
        first = next(rows, [])
        assembly = Assembly()
        assembly.table(_prepend(first, rows), header=_names_columns(first))
    except csv.Error as error:
        raise UnreadableFile("The table is damaged: a cell is too long or does not end.", code="corrupt_file") from error
    return assembly.document("text/csv", attributes={"columns": ", ".join(first)[:1000]} if _names_columns(first) else None)


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    for row in csv.reader(text.splitlines(keepends=True), delimiter=delimiter):
        if any(cell.strip() for cell in row):
            yield [cell.strip() for cell in row]


def _prepend(first: list[str], rows: Iterator[list[str]]) -> Iterator[list[str]]:
    yield first
    yield from rows


def _delimiter(text: str) -> str:
    lines = [line for line in text[:64_000].splitlines()[:_LINES_ASKED] if line.strip()]

    def evenness(delimiter: str) -> tuple[float, int]:
        counts = [line.count(delimiter) for line in lines]
        usual = max(set(counts), key=counts.count, default=0)
        return (counts.count(usual) / len(counts) if usual else 0.0, usual)

    return max(_DELIMITERS, key=evenness)


def _names_columns(row: list[str]) -> bool:
    """Names are there, differ, and are no numbers."""
    return len(row) > 1 and all(row) and len(set(row)) == len(row) and not any(_is_number(cell) for cell in row)


def _is_number(cell: str) -> bool:
    return cell.replace(".", "").replace(",", "").replace("-", "").replace("%", "").strip().isdigit()
