"""The rows of a table as a grid: what a merged cell says stands in each place that the cell covers; and a grid as lines."""

from collections.abc import Iterable, Iterator, Sequence

from core.errors import UnreadableFile
from retrievers.loaders.encoding import clean

#: What browsers take a `colspan` for at most (HTML Living Standard, "Forming a table").
MAX_COLUMNS = 1000
_MAX_COPIES = 2_000_000
#: A label is repeated wherever it applies; a longer text stands in the first of its cells alone.
_REPEATED_CHARACTERS = 200


class Copy(str):
    """What stands here because a cell above reaches down to it."""

    __slots__ = ()


class Across(Copy):
    """What stands here because a cell to the left reaches over to it."""

    __slots__ = ()


def spread(rows: Iterable[Iterable[tuple[str, int, int]]]) -> list[list[str]]:
    """Cells as (text, columns, rows) that they take up, as a grid. Columns in which no cell begins are left out.

    Raises:
        UnreadableFile: `file_too_complex`, the cells cover too many places.
    """
    grid: list[list[str]] = []
    reaching: dict[int, tuple[str, int]] = {}  # column → what stands there, for how many more rows
    width = copies = 0
    for row in rows:
        line: list[str] = []
        below: dict[int, tuple[str, int]] = {}
        for text, columns, deep in row:
            _pass_over(line, reaching, below)
            width = max(width, len(line) + 1)
            down = Copy(text)
            for number in range(min(max(columns, 1), MAX_COLUMNS)):
                if deep > 1:
                    below[len(line)] = (Across(text) if number else down, deep - 1)
                reaching.pop(len(line), None)  # cells that overlap: the later one is seen
                line.append(Across(text) if number else text)
        _pass_over(line, reaching, below)
        while reaching:  # beyond cells that the row does not have
            line.append("")
            _pass_over(line, reaching, below)
        copies += sum(isinstance(cell, Copy) for cell in line)
        if copies > _MAX_COPIES:
            raise UnreadableFile("The merged cells of a table cover too much.", code="file_too_complex")
        reaching = below
        grid.append(line)
    return [line[:width] for line in grid]


def _pass_over(line: list[str], reaching: dict[int, tuple[str, int]], below: dict[int, tuple[str, int]]) -> None:
    while (column := len(line)) in reaching:
        text, left = reaching.pop(column)
        line.append(text)
        if left > 1:
            below[column] = (text, left - 1)


def own(row: Iterable[str]) -> list[str]:
    """The cells with text that are written in this row."""
    return [cell for cell in row if cell and not isinstance(cell, Copy)]


def is_across(row: Sequence[str]) -> bool:
    """Whether one cell takes up the whole row, as a title within a table does."""
    return len(row) > 1 and bool(row[0]) and all(isinstance(cell, Across) and cell == row[0] for cell in row[1:])


def names(heads: Sequence[Sequence[str]]) -> list[str]:
    """The names of the columns from the rows that name them: what stands above each other, from the top."""
    found: list[str] = []
    for column in range(max(map(len, heads), default=0)):
        parts = [row[column] for row in heads if column < len(row) and row[column]]
        found.append(" ".join(dict.fromkeys(map(str, parts))))
    return found


def lines(rows: Iterable[Sequence[str]], *, heads: int, at_most: int) -> list[str]:
    """One line a row. The first `heads` rows name the columns, and every line repeats the names, so that a row found alone
    can be understood. No text is lost: where a name stands beside no cell, the rows of names are lines, too.

    Raises:
        UnreadableFile: `file_too_complex`, more than `at_most` characters.
    """
    above: list[str] = []
    found: list[str] = []
    headed: list[list[str]] = []
    titles: list[str] | None = None
    named: set[int] = set()
    length = 0
    for number, row in enumerate(rows):
        cells = [_cleaned(cell) for cell in row]
        if number < heads:
            if is_across(cells):
                above.append(cells[0])
            else:
                headed.append(cells)
            continue
        titles = names(headed) if titles is None else titles
        line = _line(cells, titles, named)
        length += len(line)
        if length > at_most:
            raise UnreadableFile(f"The file holds more than {at_most:,} characters of text.", code="file_too_complex")
        if line:
            found.append(line)
    if any(title and column not in named for column, title in enumerate(names(headed))):
        above.extend(filter(None, (_line(cells, [], set()) for cells in headed)))
    return above + found


def _line(cells: Sequence[str], titles: Sequence[str], named: set[int]) -> str:
    """A row's line; the places of the names that it repeats are added to `named`."""
    if not own(cells):
        return ""
    if is_across(cells):
        return str(cells[0])
    if not any(titles):
        return " | ".join("" if isinstance(cell, Across) else cell for cell in cells).strip(" |")
    return " | ".join(_beside(cells, titles, named))


def _beside(cells: Sequence[str], titles: Sequence[str], named: set[int]) -> Iterator[str]:
    for column, cell in enumerate(cells):
        if not cell:
            continue
        title = titles[column] if column < len(titles) else ""
        if isinstance(cell, Across) and (not title or title == titles[column - 1]):
            named.add(column)  # the cell to the left has said both
            continue
        named.add(column)
        yield f"{title}: {cell}" if title else cell


def _cleaned(cell: str) -> str:
    text = " ".join(clean(cell).split())
    if isinstance(cell, Copy):
        return type(cell)(text) if len(text) <= _REPEATED_CHARACTERS else ""
    return text
