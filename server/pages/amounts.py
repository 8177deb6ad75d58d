"""Amounts in words for people: dollars, counts, shares, times."""

from decimal import ROUND_UP, Decimal


def dollars(value: Decimal) -> str:
    """An amount for people: two digits behind the point, or more where there is little before it."""
    if value == 0:
        return "$0"
    if value < 0:
        return f"-{dollars(-value)}"
    if value >= 1:
        return f"${value:,.2f}"
    places = min(12, 1 - value.adjusted())
    return f"${value.quantize(Decimal(1).scaleb(-places), ROUND_UP):f}".rstrip("0")


def amount(value: Decimal | int) -> str:
    """A count for people: 950, 12.3 k, 4.5 M."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= 10 * size or (size > 1000 and value >= size):
            return f"{value / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def percent(rate: float | None) -> str:
    """A share; a dash where there is none."""
    return "–" if rate is None else f"{rate * 100:.1f} %"


def milliseconds(value: float | None) -> str:
    """A time that something took; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms"
