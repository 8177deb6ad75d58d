"""Merged cells of a sheet that is read row by row, where openpyxl knows of none."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from core.errors import UnreadableFile
from retrievers.loaders.grid import MAX_COLUMNS, Across, Copy

_RANGE = re.compile(rb"<(?:\w+:)?mergeCell\s[^>]*?ref\s*=\s*[\"']\$?([A-Z]{1,3})\$?(\d{1,7}):\$?([A-Z]{1,3})\$?(\d{1,7})[\"']")
_READ_BYTES = 2**20
_LONGEST_TAG = 512
_MAX_RANGES = 200_000
_MAX_COPIES = 20_000_000


class _Range(NamedTuple):
    """From 1 on, both ends included."""

    top: int
    left: int
    bottom: int
    right: int


class MergedCells:
    """Fills a sheet's rows, which are asked for in their order."""

    def __init__(self, ranges: list[_Range]) -> None:
        self._waiting = sorted(ranges, reverse=True)
        self._reaching: list[tuple[_Range, str]] = []
        self._copies = 0

    def filled(self, number: int, cells: list[str]) -> list[str]:
        """The cells of this row, with what merged ones show in each place that they cover.

        Raises:
            UnreadableFile: `file_too_complex`, the cells cover too many places.
        """
        if self._reaching:
            self._reaching = [(one, text) for one, text in self._reaching if one.bottom >= number]
        while self._waiting and self._waiting[-1].top <= number:
            one = self._waiting.pop()
            if one.top == number and one.left <= len(cells) and cells[one.left - 1]:
                self._reaching.append((one, cells[one.left - 1]))
        for one, text in self._reaching:
            right = min(one.right, one.left + MAX_COLUMNS - 1)
            cells += [""] * (right - len(cells))
            if number > one.top:
                cells[one.left - 1] = Copy(text)
            cells[one.left : right] = [Across(text)] * (right - one.left)
            self._copies += right - one.left + 1
        if self._copies > _MAX_COPIES:
            raise UnreadableFile("The merged cells of a sheet cover too much.", code="file_too_complex")
        return cells


def merged_cells(sheet: Any) -> MergedCells:
    """Those of a sheet that openpyxl has opened to be read only."""
    return MergedCells(list(_ranges(sheet)))


def _ranges(sheet: Any) -> Iterator[_Range]:
    """They stand behind the rows, in tags that no text can hold: in XML it is escaped."""
    found = 0
    rest = b""
    with sheet._get_source() as source:  # noqa: SLF001 - its file, which is not told otherwise
        while part := source.read(_READ_BYTES):
            data = rest + part
            end = 0
            for match in _RANGE.finditer(data):
                end = match.end()
                left, top, right, bottom = match.groups()
                found += 1
                if found > _MAX_RANGES:
                    raise UnreadableFile("A sheet has too many merged cells.", code="file_too_complex")
                yield _Range(int(top), _column(left), int(bottom), _column(right))
            rest = data[max(end, len(data) - _LONGEST_TAG) :]


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number
