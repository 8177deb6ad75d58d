"""Charts that the server draws: stacked columns over time, as numbers for an SVG of a page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

#: The height of the drawing; its width is one for each column.
HEIGHT = 100.0
#: Of a column, what stays free on either side of it.
_GAP = 0.12


@dataclass(frozen=True, slots=True)
class Bar:
    """A piece of a column: its place from the top left, which series it is of (from 0), and what it says."""

    x: float
    y: float
    width: float
    height: float
    series: int
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Columns of pieces. `marks` are the values at the top, in the middle and at the bottom of the scale, in words."""

    columns: int
    bars: Sequence[Bar]
    marks: Sequence[str]


def stacked(
    times: Sequence[str],
    series: Sequence[tuple[str, Mapping[str, Decimal]]],
    words: Callable[[Decimal], str],
) -> Chart:
    """A column a time, with a piece for each series of (name, value by time) that has one there. What is below zero is not
    drawn."""
    sums = [sum((max(values.get(time, Decimal(0)), Decimal(0)) for _, values in series), Decimal(0)) for time in times]
    top = _above(max(sums, default=Decimal(0)))
    bars = []
    for place, time in enumerate(times):
        floor = HEIGHT
        for number, (name, values) in enumerate(series):
            value = values.get(time, Decimal(0))
            if value <= 0:
                continue
            height = float(value / top) * HEIGHT
            floor -= height
            title = f"{time} · {name}: {words(value)}"
            bars.append(Bar(place + _GAP, round(floor, 3), 1 - 2 * _GAP, round(height, 3), number, title))
    return Chart(len(times), bars, [words(top), words(top / 2), words(Decimal(0))])


def _above(value: Decimal) -> Decimal:
    """A round number at or above a value, which has a round half as well."""
    if value <= 0:
        return Decimal(1)
    unit = Decimal(1).scaleb(value.adjusted())
    return next(unit * step for step in (1, 2, 3, 4, 6, 8, 10) if unit * step >= value)


def dollars(value: Decimal) -> str:
    """An amount for people: two digits behind the point, or more where there is little before it."""
    if value == 0:
        return "$0"
    if abs(value) >= 1:
        return f"${value:,.2f}"
    places = min(12, 1 - value.adjusted())
    return f"${value.quantize(Decimal(1).scaleb(-places), ROUND_UP):f}".rstrip("0")


def amount(value: Decimal | int) -> str:
    """A count for people: 950, 12.3 k, 4.5 M."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= 10 * size or (size > 1000 and value >= size):
            return f"{value / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
