"""Figures of pages: what a chart shows, for the script that draws it, and as a table for those who do not see it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any, Literal

from server.pages.amounts import amount, dollars, milliseconds, percent

Kind = Literal["columns", "lines", "intervals"]
Unit = Literal["count", "usd", "ms", "share", "number"]
Value = float | int | Decimal | None


@dataclass(frozen=True, slots=True)
class Series:
    """Values by label; None is a gap. `tone` is a colour with a meaning, in place of the series' own."""

    name: str
    values: Sequence[Value]
    tone: Literal["good", "wait", "bad", ""] = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and what it may be; None where it is not known."""

    name: str
    low: float | None
    point: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Mark:
    """Something to be seen at a label: what, in words, and at which height where that is known."""

    label: str
    text: str
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart. `head` is what its labels are; `about` says for a screen reader what is drawn. Of `intervals`, the labels are
    what is estimated, and the line at `against` is what they are held against."""

    id: str
    title: str
    about: str
    kind: Kind
    unit: Unit
    head: str
    labels: Sequence[str] = ()
    series: Sequence[Series] = ()
    intervals: Sequence[Interval] = ()
    marks: Sequence[Mark] = ()
    stacked: bool = True
    against: float | None = None
    shorts: Sequence[str] = field(default=())

    def told(self) -> dict[str, Any]:
        """For the script: plain JSON."""
        told = asdict(self)
        for name in ("about", "head", "title"):
            del told[name]
        for series in told["series"]:
            series["values"] = [None if value is None else float(value) for value in series["values"]]
        return told

    def rows(self) -> list[tuple[str, list[str], str]]:
        """The table, the newest first: label, the values in words, and what is marked there."""
        marked: dict[str, list[str]] = {}
        for mark in self.marks:
            marked.setdefault(mark.label, []).append(mark.text)
        rows = []
        for place, label in enumerate(self.labels):
            values = [in_words(series.values[place], self.unit) for series in self.series]
            rows.append((label, values, "; ".join(marked.get(label, []))))
        return rows[::-1]


def in_words(value: Value, unit: Unit) -> str:
    """A value with its unit; a dash where there is none."""
    if value is None:
        return "–"
    if unit == "usd":
        return dollars(Decimal(str(value)))
    if unit == "ms":
        return milliseconds(float(value))
    if unit == "share":
        return percent(float(value))
    return amount(value if isinstance(value, int) else Decimal(str(value))) if unit == "count" else f"{float(value):.4g}"


def shortened(time: str) -> str:
    """A time as it stands below a chart: `2026-03-01T12:05Z` as `12:05`, a day as itself."""
    return time[11:16] if "T" in time else time
