"""What is explored of usage and cost: the choice that an address names, the addresses that lead on, and its figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final, Literal
from urllib.parse import urlencode

from core.ledger.usage import Line
from server.pages.figures import Figure, Series, Unit, Value, shortened
from server.pages.periods import Times
from server.routes.analytics import in_full

Measure = Literal["cost", "tokens", "requests", "failed", "latency", "first_token", "price"]
MEASURES: Final[dict[str, str]] = {
    "cost": "Cost",
    "tokens": "Tokens",
    "requests": "Requests",
    "failed": "Failed calls",
    "latency": "Latency, 95 %",
    "first_token": "First token, 95 %",
    "price": "Cost of 1,000 tokens",
}
DIMENSIONS: Final[dict[str, str]] = {
    "alias": "Alias",
    "version": "Version",
    "provider": "Provider",
    "model": "Model",
    "capability": "Capability",
    "principal": "User",
    "team": "Team",
    "key_id": "Key",
    "cost_centre": "Cost centre",
    "session_id": "Session",
    "status": "Status",
    "cache": "Cache",
    "price_basis": "Price basis",
}
TAG: Final = "tag:"
#: What a group without a value is.
_NONE: Final = {
    "team": "in no team",
    "key_id": "without a key",
    "cost_centre": "in no cost centre",
    "cache": "not from the cache",
    "session_id": "without a session, or another's",
}
#: Where a click on a group leads: to the first of these that is not chosen yet.
_DEEPER: Final = ("provider", "model", "principal", "capability", "status", "key_id")
#: Groups that have a colour of their own; the others stand together.
SHOWN: Final = 5
_COMPARED: Final = 12
_OTHERS: Final = "others"

_UNITS: Final[dict[str, Unit]] = {
    "cost": "usd",
    "tokens": "count",
    "requests": "count",
    "failed": "share",
    "latency": "ms",
    "first_token": "ms",
    "price": "usd",
}
#: Those that can be added up.
_SUMS: Final = ("cost", "tokens", "requests")


def measured(line: Line, measure: str) -> Value:
    """A line's value of a measure; None where there is none."""
    told = in_full(line)
    values: dict[str, Callable[[], Value]] = {
        "cost": lambda: line.cost_usd,
        "tokens": lambda: told["input_tokens"] + told["output_tokens"],
        "requests": lambda: line.requests,
        "failed": lambda: told["error_rate"],
        "latency": lambda: told["latency_p95_ms"],
        "first_token": lambda: told["first_token_p95_ms"],
        "price": lambda: told["usd_per_1k_tokens"],
    }
    return values[measure]()


@dataclass(frozen=True, slots=True)
class Explored:
    """What an address chooses. `only` are filters, each `DIMENSION=VALUE`."""

    path: str
    period: str
    grain: str
    first: str
    last: str
    by: str
    and_by: str
    measure: str
    only: tuple[str, ...] = ()
    tenants: str = ""

    @property
    def group_by(self) -> list[str]:
        return [self.by, *([self.and_by] if self.and_by else [])]

    @property
    def query(self) -> list[tuple[str, str]]:
        """The address's parameters, without those that are as they are anyway."""
        named = {
            "period": self.period,
            "grain": self.grain,
            "first": self.first,
            "last": self.last,
            "by": self.by,
            "and_by": self.and_by,
            "measure": self.measure,
            "tenants": self.tenants,
        }
        return [(name, value) for name, value in named.items() if value] + [("only", each) for each in self.only]

    @property
    def address(self) -> str:
        return f"{self.path}?{urlencode(self.query)}"

    def without(self, one: str) -> str:
        """The address without one of the filters."""
        return replace(self, only=tuple(each for each in self.only if each != one)).address

    def into(self, values: Mapping[str, str | None]) -> str:
        """The address that shows a group alone, told apart by something else."""
        only = tuple(dict.fromkeys((*self.only, *(f"{name}={value or ''}" for name, value in values.items()))))
        named = {each.partition("=")[0] for each in only}
        deeper = next((each for each in _DEEPER if each not in named), self.by)
        return replace(self, only=only, by=deeper, and_by="").address

    def csv(self, times: Times, *, over_time: bool) -> str:
        """Where the API has the same as a CSV file."""
        query = [("format", "csv"), ("from", _moment(times.since))]
        query += [("to", _moment(times.until))] if times.until else []
        groups = [times.grain, *self.group_by] if over_time else self.group_by
        query += [("group_by", ",".join(groups)), *(("only", each) for each in self.only)]
        query += [("order", "group")] if over_time else []
        query += [("all_tenants", "true")] if self.tenants else []
        return f"/api/v1/usage/analytics?{urlencode(query)}"


def _moment(at: Any) -> str:
    return str(at.isoformat().replace("+00:00", "Z"))


def dimension_title(name: str) -> str:
    """A dimension in words."""
    return DIMENSIONS.get(name) or ("Tenant" if name == "tenant" else name.removeprefix(TAG))


def label_of(name: str, value: str | None, names: Mapping[str, str]) -> str:
    """A value of a dimension in words; `names` are those of users, teams and keys."""
    if not value:
        return _NONE.get(name, "none")
    return names.get(value, value)


def over_time(
    lines: Sequence[Line], times: Times, chosen: Explored, top: Sequence[str | None], names: Mapping[str, str]
) -> Figure:
    """The measure at each time, by the groups of the first dimension: `top` by themselves, the others together where they can
    be added up."""
    adds_up = chosen.measure in _SUMS
    values: dict[str | None, dict[str, Value]] = {value: {} for value in top}
    others: dict[str, Value] = {}
    for line in lines:
        time, value = line.group[times.grain] or "", measured(line, chosen.measure)
        if line.group[chosen.by] in values:
            values[line.group[chosen.by]][time] = value
        elif adds_up:
            others[time] = Decimal(str(others.get(time) or 0)) + Decimal(str(value or 0))
    nothing: Value = 0 if adds_up else None
    series = [
        Series(label_of(chosen.by, value, names), [found.get(time, nothing) for time in times.names])
        for value, found in values.items()
    ]
    if others:
        series.append(Series(_OTHERS, [others.get(time, 0) for time in times.names]))
    what, by = MEASURES[chosen.measure], dimension_title(chosen.by).lower()
    return Figure(
        id="over-time-chart",
        title=f"{what} by {times.grain}",
        about=f"{what} of each {times.grain} by {by}; the table below has the numbers",
        kind="columns" if adds_up else "lines",
        unit=_UNITS[chosen.measure],
        head=times.grain.capitalize(),
        labels=times.names,
        shorts=[shortened(name) if times.grain == "hour" else name for name in times.names],
        series=series,
    )


def compared(lines: Sequence[Line], chosen: Explored, names: Mapping[str, str]) -> Figure:
    """The measure of the groups beside each other; by two dimensions, a column for each value of the second."""
    groups = list(dict.fromkeys(line.group[chosen.by] for line in lines))[:_COMPARED]
    seconds: list[str | None] = [None]
    if chosen.and_by:
        seconds = list(dict.fromkeys(line.group[chosen.and_by] for line in lines))[:SHOWN]
    found = {
        (line.group[chosen.by], line.group[chosen.and_by] if chosen.and_by else None): measured(line, chosen.measure)
        for line in lines
    }
    what, by = MEASURES[chosen.measure], dimension_title(chosen.by).lower()
    beside = f" and {dimension_title(chosen.and_by).lower()}" if chosen.and_by else ""
    return Figure(
        id="compared-chart",
        title=f"{what} by {by}{beside}",
        about=f"{what} of each {by}{beside}; the table below has the numbers",
        kind="columns",
        unit=_UNITS[chosen.measure],
        head=dimension_title(chosen.by),
        labels=[label_of(chosen.by, value, names) for value in groups],
        series=[
            Series(
                label_of(chosen.and_by, second, names) if chosen.and_by else what, [found.get((one, second)) for one in groups]
            )
            for second in seconds
        ],
        stacked=False,
    )
