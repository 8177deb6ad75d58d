"""Whether the first rows of a table name its columns, judged by what stands below them.

A wrong header is worse than none: it puts every value under a name that is not its own. Words above words tell nothing, so
that such a row is taken for a header only where the file marks it as one."""

import re
from collections.abc import Sequence

from retrievers.loaders.grid import Across, Copy, is_across, names, own

#: A number, with a unit or a currency at most.
_QUANTITY = re.compile(r"[^\w]*[A-Z€$£¥]{0,4}\s?\d[\d.,:/'’ %-]*\s?[\w%€$£¥°/²³]*\.?")
_TRUTHS = ("TRUE", "FALSE")
_NAME_WORDS = 3
_PROSE_WORDS = 6
_ROWS_ASKED = 30


def heading_rows(rows: Sequence[Sequence[str]]) -> int:
    """How many of the first rows name the columns, titles across the whole table included; 0 without evidence."""
    first = next((number for number, row in enumerate(rows) if not is_across(row)), len(rows))
    if first == len(rows):
        return 0
    if _reaches_over(rows, first) and _named(rows[first : first + 2], rows[first + 2 :]):
        return first + 2
    return first + 1 if _named(rows[first : first + 1], rows[first + 1 :]) else 0


def marked_rows(rows: Sequence[Sequence[str]], marked: Sequence[bool]) -> int:
    """How many of the first rows name the columns where the file sets these off from the others: `marked` tells of each of
    the first rows whether it is. A row alone is none, and rows that are all alike set nothing off."""
    if all(marked):
        return 0
    count = min(next(number for number, is_marked in enumerate(marked) if not is_marked), len(rows))
    heads = [row for row in rows[:count] if not is_across(row)]
    return count if count < len(rows) and heads and len(heads[0]) > 1 else 0


def leaves_none_empty(rows: Sequence[Sequence[str]]) -> bool:
    """Whether something stands below each text of the first row, as it does below the names of columns."""
    below = rows[1 : 1 + _ROWS_ASKED]
    return all(any(place < len(row) and row[place] for row in below) for place, cell in enumerate(rows[0]) if cell)


def _reaches_over(rows: Sequence[Sequence[str]], first: int) -> bool:
    """Whether a cell of this row covers several columns, and the row below names each of these."""
    if first + 2 >= len(rows):
        return False
    return any(isinstance(cell, Across) for cell in rows[first]) and all(
        below and not isinstance(below, Across)
        for cell, below in zip(rows[first], rows[first + 1], strict=False)
        if isinstance(cell, Across)
    )


def _named(heads: Sequence[Sequence[str]], below: Sequence[Sequence[str]]) -> bool:
    """Whether these are words that differ, at most the corner without one, above a column of what is no words: numbers,
    addresses, or long texts; or all in capitals, as nothing below them is."""
    titles = names(heads)
    told = [title for title, cell in zip(titles, heads[-1], strict=False) if title and not isinstance(cell, Across)]
    if not below or len(told) < 2 or len(set(told)) < len(told):
        return False
    if any(is_quantity(cell) for row in heads for cell in row if cell and not isinstance(cell, Copy)):
        return False
    rows = below[:_ROWS_ASKED]
    columns = [[row[place] for row in rows if place < len(row) and row[place]] for place in range(len(titles))]
    if any(title and cells and _differ(title, cells) for title, cells in zip(titles, columns, strict=True)):
        return True
    words = " ".join(told)
    return words.isupper() and len(words) > 2 * len(told) and not any(cell.isupper() for row in rows for cell in own(row))


def _differ(title: str, cells: Sequence[str]) -> bool:
    if all(map(is_quantity, cells)) or all("@" in cell or "://" in cell for cell in cells):
        return "@" not in title and "://" not in title
    return len(title.split()) <= _NAME_WORDS and all(len(cell.split()) >= _PROSE_WORDS for cell in cells)


def is_quantity(cell: str) -> bool:
    """Whether a cell holds a number, a date, a code or the like rather than words."""
    if cell in _TRUTHS:
        return True
    told = [character for character in cell if character.isalnum()]
    digits = sum(map(str.isdigit, told))
    return digits > 0 and (2 * digits >= len(told) or _QUANTITY.fullmatch(cell.strip()) is not None)
