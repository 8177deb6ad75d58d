"""Tables of separated values: one line a row, each with the names of its columns."""

import csv
import re
from collections.abc import Iterator
from itertools import chain, islice

from core.errors import UnreadableFile
from retrievers.base import LoadedDocument
from retrievers.loaders.assembly import Assembly
from retrievers.loaders.encoding import clean, decode
from retrievers.loaders.headers import leaves_none_empty

_DELIMITERS = (",", ";", "\t", "|")
_LINES_ASKED = 20
_ROWS_ASKED = 30
#: How Excel is told what divides the cells.
_SEPARATOR = re.compile(r"\A\ufeff?sep=[,;|\t]\r?\n", re.I)
#: A year or a month, as a column is called.
_PERIOD = re.compile(r"(?:19|20)\d\d(?:-(?:0[1-9]|1[0-2]))?")


def load_csv(data: bytes, name: str) -> LoadedDocument:
    """Comma, semicolon, tab or bar, whichever divides the first lines most evenly.

    Raises:
        UnreadableFile: `corrupt_file` (a quoted cell that does not end within the format's bounds), `file_too_complex`.
    """
    text = _SEPARATOR.sub("", clean(decode(data)), count=1)
    rows = _rows(text, _delimiter(text))
    try:
        first = list(islice(rows, _ROWS_ASKED))
        assembly = Assembly()
        while _is_title(first):
            assembly.prose(" ".join(filter(None, first.pop(0))))
        header = bool(first) and _names_columns(first[0], first[1:])
        assembly.table(chain(first, rows), heads=int(header))
    except csv.Error as error:
        raise UnreadableFile("The table is damaged: a cell is too long or does not end.", code="corrupt_file") from error
    columns = ", ".join(filter(None, first[0])) if header else ""
    return assembly.document("text/csv", attributes={"columns": columns[:1000]} if columns else None)


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    for row in csv.reader(text.splitlines(keepends=True), delimiter=delimiter):
        if any(cell.strip() for cell in row):
            yield [cell.strip() for cell in row]


def _delimiter(text: str) -> str:
    lines = [line for line in text[:64_000].splitlines()[:_LINES_ASKED] if line.strip()]

    def evenness(delimiter: str) -> tuple[float, int]:
        counts = [line.count(delimiter) for line in lines]
        usual = max(set(counts), key=counts.count, default=0)
        return (counts.count(usual) / len(counts) if usual else 0.0, usual)

    return max(_DELIMITERS, key=evenness)


def _is_title(rows: list[list[str]]) -> bool:
    """Whether a line stands above the table rather than in it: it has one cell, and those below have more."""
    return len(rows) > 2 and _filled(rows[0]) == 1 and all(_filled(row) > 1 for row in rows[1:3])


def _filled(row: list[str]) -> int:
    return sum(map(bool, row))


def _names_columns(row: list[str], below: list[list[str]]) -> bool:
    """Whether a first row names the columns: with names that differ and are no numbers. A first cell may be empty above an
    index, others where a name stands above numbers alone, and numbers may be years or places (1, 2, 3) that the rows `below` do
    not hold."""
    named = [cell for cell in row if cell]
    numbers = [place for place, cell in enumerate(row) if _is_number(cell)]
    if len(row) < 2 or len(named) == len(numbers):
        return False
    if numbers and not _counts_columns(row, numbers, below):
        return False
    empty = [place for place, cell in enumerate(row) if not cell]
    if empty == [0] and below and all(line[0] for line in below):
        return True
    sure = bool(numbers) or _stands_above_numbers(row, below)
    return sure or (not empty and len(set(named)) == len(named) and (not below or leaves_none_empty([row, *below])))


def _counts_columns(row: list[str], numbers: list[int], below: list[list[str]]) -> bool:
    """Whether the numbers of a row are years or months in order, or places from 1 or 0 on, and most below are not."""

    def counts(line: list[str]) -> bool:
        cells = [line[place] for place in numbers if place < len(line)]
        if len(cells) == len(numbers) >= 2 and all(map(_PERIOD.fullmatch, cells)):
            return cells in (sorted(set(cells)), sorted(set(cells), reverse=True))
        return len(cells) == len(numbers) >= 3 and cells in ([str(n + k) for n in range(len(cells))] for k in (0, 1))

    return counts(row) and 2 * sum(map(counts, below)) < len(below)


def _stands_above_numbers(row: list[str], below: list[list[str]]) -> bool:
    """Whether a column has a name, and numbers alone below it."""
    columns = [[line[place] for line in below if place < len(line) and line[place]] for place in range(len(row))]
    pairs = zip(row, columns, strict=True)
    return any(cell and not _is_number(cell) and len(found) > 1 and all(map(_is_number, found)) for cell, found in pairs)


def _is_number(cell: str) -> bool:
    return cell.replace(".", "").replace(",", "").replace("-", "").replace("%", "").strip().isdigit()
