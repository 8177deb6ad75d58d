"""Tables of a PDF, which knows none: rows of short texts that stand above each other in the same columns."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from retrievers.loaders.headers import heading_rows, marked_rows

_SAME_LINE = 0.3  # of a line's height
#: From row to row, in heights of a line; what is further apart is no table, or another one.
_ROW_GAP = 2.5
#: A line below that has fewer cells, and stands as close as this, goes on with the cells above it.
_GOES_ON = 0.35
#: Cells are seldom longer; the lines of text that is set in columns are.
_CELL_CHARACTERS = 40
_ROWS_OF_TWO_COLUMNS = 3
_LEAST_GAP = 0.6  # between columns, in heights of a line
#: How far apart, in points, the left edges of a column's cells may be.
_SAME_EDGE = 1.0


class Gap(NamedTuple):
    """A gap between words, `text[start:end]`, from `left` to `right` in points."""

    start: int
    end: int
    left: float
    right: float

    @property
    def width(self) -> float:
        return self.right - self.left

    def moved(self, by: int) -> "Gap":
        return self._replace(start=self.start + by, end=self.end + by)


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands of a line between two wide gaps, in points from the left; `gaps` are those in it that are doubtful."""

    text: str
    left: float
    right: float
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it is set, in points; `size` is its height. `cells` are its parts, one where it has no wide gap."""

    text: str
    page: int
    size: float
    left: float
    right: float
    bottom: float
    top: float
    cells: tuple[Cell, ...] = ()
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """The `lines` that it is made of, as a half-open range, and its rows, each with a cell for every column; of the first
    rows, which are `bold`."""

    first: int
    end: int
    rows: tuple[tuple[str, ...], ...]

    bold: tuple[bool, ...] = ()

    @property
    def heads(self) -> int:
        """How many of the first rows name the columns."""
        return heading_rows(self.rows) or marked_rows(self.rows, self.bold)


@dataclass(frozen=True, slots=True)
class _Row:
    """Lines of one height, from left to right; `first` is the place of the first of them."""

    first: int
    lines: Sequence[Line]

    @property
    def cells(self) -> list[Cell]:
        return [cell for line in self.lines for cell in line.cells]


def tables(lines: Sequence[Line]) -> Iterator[Table]:
    """The tables of a document in its order, without overlap."""
    run: list[_Row] = []
    for row in _rows(_aligned(lines)):
        if run and not _follows(run, row):
            yield from _table(run)
            run = []
        if run or len(row.cells) > 1:
            run.append(row)
    yield from _table(run)


def _aligned(lines: Sequence[Line]) -> list[Line]:
    """The lines, with cells divided at narrow gaps behind which the cells of two other lines near by begin."""
    found: list[Line] = []
    block: list[Line] = []
    for line in lines:
        if block and not _is_near(block[-1], line):
            found += _divided(block)
            block = []
        block.append(line)
    return found + _divided(block)


def _is_near(above: Line, below: Line) -> bool:
    size = max(above.size, below.size, 1)
    return above.page == below.page and abs(above.bottom - below.bottom) < (_ROW_GAP + 1) * size


def _divided(block: Sequence[Line]) -> list[Line]:
    begun = sorted(cell.left for line in block for cell in line.cells[1:])
    if not begun:
        return list(block)

    def begins_a_column(left: float) -> bool:
        return bisect_right(begun, left + _SAME_EDGE) - bisect_left(begun, left - _SAME_EDGE) >= 2

    return [replace(line, cells=tuple(part for cell in line.cells for part in _parts(cell, begins_a_column))) for line in block]


def _parts(cell: Cell, begins_a_column: Callable[[float], bool]) -> Iterator[Cell]:
    start, left = 0, cell.left
    for gap in cell.gaps:
        if begins_a_column(gap.right):
            yield Cell(cell.text[start : gap.start], left, gap.left)
            start, left = gap.end, gap.right
    yield Cell(cell.text[start:], left, cell.right)


def _rows(lines: Sequence[Line]) -> Iterator[_Row]:
    """Lines that follow each other on one height, from left to right."""
    first = 0
    for number, (before, line) in enumerate(pairwise(lines), 1):
        beside = before.page == line.page and abs(before.bottom - line.bottom) < _SAME_LINE * max(line.size, 1)
        if not (beside and line.left >= before.right):
            yield _Row(first, lines[first:number])
            first = number
    if lines:
        yield _Row(first, lines[first:])


def _follows(run: Sequence[_Row], row: _Row) -> bool:
    """Whether a row stands below the others, near enough, in their columns."""
    above, below = run[-1].lines[0], row.lines[0]
    gap = above.bottom - below.top
    size = max(above.size, below.size, 1)
    if above.page != below.page or not -0.5 * size < gap < _ROW_GAP * size:
        return False
    if len(row.cells) == 1 and gap > _GOES_ON * size:
        return False
    return len(_columns([*run, row])) >= max(len(one.cells) for one in (*run, row))


def _columns(rows: Sequence[_Row]) -> list[tuple[float, float]]:
    """The stretches from left to right that cells stand in, with gaps between them."""
    columns: list[tuple[float, float]] = []
    for left, right in sorted((cell.left, cell.right) for row in rows for cell in row.cells):
        if columns and left < columns[-1][1]:
            columns[-1] = (columns[-1][0], max(columns[-1][1], right))
        else:
            columns.append((left, right))
    return columns


def _table(run: list[_Row]) -> Iterator[Table]:
    while run and len(run[-1].cells) == 1 and len(run) > 1 and len(run[-2].cells) == 1:
        run.pop()
    columns = _columns(run)
    full = sum(len(row.cells) > 1 for row in run)
    size = run[0].lines[0].size if run else 0.0
    if len(columns) < 2 or full < (2 if len(columns) > 2 else _ROWS_OF_TWO_COLUMNS):
        return
    cells = [cell for row in run for cell in row.cells]
    if sum(len(cell.text) for cell in cells) > _CELL_CHARACTERS * len(cells):
        return
    if any(right[0] - left[1] < _LEAST_GAP * size and not _is_set_left(cells, right) for left, right in pairwise(columns)):
        return
    rows: list[list[str]] = []
    bold: list[bool] = []
    for row in run:
        texts = [""] * len(columns)
        for cell in row.cells:
            place = next(
                number for number, (left, right) in enumerate(columns) if left <= cell.left < right or left == cell.left
            )
            texts[place] = f"{texts[place]} {cell.text}".strip()
        if rows and len(row.cells) < len(columns) and not texts[0] and _is_close(run, row):
            rows[-1] = [f"{above} {text}".strip() for above, text in zip(rows[-1], texts, strict=True)]
        else:
            rows.append(texts)
            bold.append(all(line.bold for line in row.lines))
    last = run[-1]
    yield Table(run[0].first, last.first + len(last.lines), tuple(map(tuple, rows)), tuple(bold[:3]))


def _is_set_left(cells: Sequence[Cell], column: tuple[float, float]) -> bool:
    """Whether most cells of a column, three at least, begin at its left edge, as words below each other do not."""
    within = [cell.left - column[0] <= _SAME_EDGE for cell in cells if column[0] <= cell.left < column[1]]
    return sum(within) >= max(3, 0.6 * len(within))


def _is_close(run: Sequence[_Row], row: _Row) -> bool:
    above = run[run.index(row) - 1].lines[0]
    return above.bottom - row.lines[0].top < _GOES_ON * max(above.size, 1)
