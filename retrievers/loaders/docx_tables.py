"""Tables of Word documents: the grid of their cells, and the rows that are set off as a header."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from retrievers.loaders.grid import MAX_COLUMNS, Across, Copy
from retrievers.loaders.headers import heading_rows, marked_rows

if TYPE_CHECKING:
    from lxml.etree import _Element  # type: ignore[import-untyped]  # lxml ships no types

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_VALUE = f"{_W}val"
_OFF = ("0", "false", "off")
_HEADS_ASKED = 5
#: As Word saves `tblLook`: that the style's first row is used.
_FIRST_ROW = 0x0020


def header_styles(styles: "_Element") -> frozenset[str]:
    """The ids of the table styles that set off a first row."""
    return frozenset(
        style.get(f"{_W}styleId", "")
        for style in styles.iter(f"{_W}style")
        if any(part.get(f"{_W}type") == "firstRow" for part in style.iterfind(f"{_W}tblStylePr"))
    )


def read_table(table: "_Element", text: "Callable[[_Element], str]", styles: frozenset[str]) -> tuple[list[list[str]], int]:
    """The grid of a table, and how many of its rows name the columns. A table within a cell is read as the cell's text."""
    rows: list[list[str]] = []
    elements: list[_Element] = []
    for row in table.iterfind(f"{_W}tr"):
        cells = list(_cells(row, rows[-1] if rows else [], text))
        if any(cells):
            rows.append(cells)
            elements.append(row)
    first = elements[:_HEADS_ASKED]
    if heads := marked_rows(rows, [_is_repeated(row) for row in first]):
        return rows, heads
    if heads := heading_rows(rows):
        return rows, heads
    for is_set_off in (_is_bold, _is_shaded):
        if heads := marked_rows(rows, [is_set_off(row) for row in first]):
            return rows, heads
    return rows, marked_rows(rows, [_has_header_style(table, styles), False])


def _cells(row: "_Element", above: list[str], text: "Callable[[_Element], str]") -> Iterator[str]:
    """What stands in each column; `above` is the row before, whose cells may go on."""
    properties = row.find(f"{_W}trPr")
    column = 0
    if properties is not None:
        column = _number(properties.find(f"{_W}gridBefore"))
        yield from [""] * column
    for cell in row.iterfind(f".//{_W}tc"):
        if next(cell.iterancestors(f"{_W}tr"), None) is not row:
            continue  # of a table within
        merged = cell.find(f"{_W}tcPr/{_W}vMerge")
        said: str = text(cell).strip()
        if merged is not None and merged.get(_VALUE, "continue") == "continue" and not said and column < len(above):
            said = Copy(above[column])
        yield said
        column += 1
        for _ in range(max(_number(cell.find(f"{_W}tcPr/{_W}gridSpan")), 1) - 1):
            yield Across(said)
            column += 1


def _number(element: "_Element | None") -> int:
    said = element.get(_VALUE, "") if element is not None else ""
    return min(int(said), MAX_COLUMNS) if said.isdecimal() and len(said) < 9 else 0


def _is_on(element: "_Element | None") -> bool:
    return element is not None and element.get(_VALUE, "1") not in _OFF


def _is_repeated(row: "_Element") -> bool:
    return _is_on(row.find(f"{_W}trPr/{_W}tblHeader"))


def _is_bold(row: "_Element") -> bool:
    runs = [run for run in row.iter(f"{_W}r") if any((part.text or "").strip() for part in run.iterfind(f"{_W}t"))]
    return bool(runs) and all(_is_on(run.find(f"{_W}rPr/{_W}b")) for run in runs)


def _is_shaded(row: "_Element") -> bool:
    cells = row.findall(f"{_W}tc")
    fills = [shade.get(f"{_W}fill", "auto") for cell in cells for shade in cell.iterfind(f"{_W}tcPr/{_W}shd")]
    return bool(cells) and len(fills) == len(cells) and not {"auto", "FFFFFF", "ffffff"} & set(fills)


def _has_header_style(table: "_Element", styles: frozenset[str]) -> bool:
    style, look = table.find(f"{_W}tblPr/{_W}tblStyle"), table.find(f"{_W}tblPr/{_W}tblLook")
    if style is None or style.get(_VALUE, "") not in styles or look is None:
        return False
    if (said := look.get(f"{_W}firstRow")) is not None:
        return said not in _OFF
    bits = look.get(_VALUE, "0")
    return bool(int(bits, 16) & _FIRST_ROW) if len(bits) <= 4 and all(c in "0123456789abcdefABCDEF" for c in bits) else False
