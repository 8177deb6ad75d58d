"""`/usage`: what was used and what it cost, over time and by whatever it can be told apart by, for people."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from core.database import utc_now
from core.ledger.usage import Line, Question, analyse
from core.principals import Principal, Scope
from server.access.directory import Directory
from server.auth import requires
from server.openapi import platform_version
from server.pages import render
from server.pages.administration import AdminRoute, sections_of
from server.pages.charts import amount, dollars, stacked
from server.routes.analytics import in_full
from server.state import CurrentState

router = APIRouter(include_in_schema=False, route_class=AdminRoute)

PATH = "/usage"
#: Groups that have a colour of their own; the others stand together.
_SHOWN = 5
_ROWS = 50
_OTHERS = "others"

Period = Literal["24h", "7d", "30d", "12w", "12m"]
By = Literal["alias", "model", "provider", "capability", "principal", "team", "key_id", "cost_centre", "status"]
_PERIODS = {"24h": "24 hours", "7d": "7 days", "30d": "30 days", "12w": "12 weeks", "12m": "12 months"}
_BY = {
    "alias": "Alias",
    "model": "Model",
    "provider": "Provider",
    "capability": "Capability",
    "principal": "User",
    "team": "Team",
    "key_id": "Key",
    "cost_centre": "Cost centre",
    "status": "Status",
}
#: What a group without a value is.
_NONE = {"team": "in no team", "key_id": "without a key", "cost_centre": "in no cost centre"}


@dataclass(frozen=True, slots=True)
class Times:
    """The times of a period, in its grain, the newest last; each by the name that a report gives it."""

    grain: str
    since: datetime
    names: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, period: str, now: datetime) -> "Times":
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        day = hour.replace(hour=0)
        if period == "24h":
            times, grain, shape = [hour - timedelta(hours=back) for back in range(23, -1, -1)], "hour", "%Y-%m-%dT%H:00:00Z"
        elif period == "12w":
            monday = day - timedelta(days=day.weekday())
            times, grain, shape = [monday - timedelta(weeks=back) for back in range(11, -1, -1)], "week", "%Y-%m-%d"
        elif period == "12m":
            months = [divmod(day.year * 12 + day.month - 1 - back, 12) for back in range(11, -1, -1)]
            times, grain, shape = [day.replace(year=year, month=month + 1, day=1) for year, month in months], "month", "%Y-%m"
        else:
            days = int(period.removesuffix("d"))
            times, grain, shape = [day - timedelta(days=back) for back in range(days - 1, -1, -1)], "day", "%Y-%m-%d"
        return cls(grain, times[0], [time.strftime(shape) for time in times])


@router.get(PATH)
async def show_usage(
    request: Request,
    state: CurrentState,
    principal: Annotated[Principal, requires(Scope.USAGE_READ)],
    period: Annotated[Period, Query()] = "30d",
    by: Annotated[By, Query()] = "model",
) -> Response:
    """The page."""
    times = Times.of(period, utc_now())

    async def ask(*group_by: str) -> list[Line]:
        return await analyse(state.database, Question(principal.tenant, group_by, times.since))

    (whole,), groups, over_time = await ask(), await ask(by), await ask(times.grain, by)
    names = await Directory(state.database).names(principal, {line.group[by] or "" for line in groups})
    top = [line.group[by] for line in groups[:_SHOWN]]
    labels = [_label(by, value, names) for value in top] + ([_OTHERS] if len(groups) > len(top) else [])
    exported = {"format": "csv", "from": times.since.isoformat().replace("+00:00", "Z")}
    values = {
        "principal": principal,
        "administers": bool(sections_of(principal)),
        "version": platform_version(),
        "period": period,
        "periods": _PERIODS,
        "by": by,
        "dimensions": _BY,
        "times": times,
        "whole": _for_people(whole),
        "costs": stacked(times.names, _series(over_time, times.grain, by, top, labels, _cost), dollars),
        "tokens": stacked(times.names, _series(over_time, times.grain, by, top, labels, _tokens), amount),
        "labels": labels,
        "groups": [_for_people(line) | {"name": _label(by, line.group[by], names)} for line in groups[:_ROWS]],
        "more": max(0, len(groups) - _ROWS),
        "by_time": _by_time(over_time, times),
        "csv_groups": f"/api/v1/usage/analytics?{urlencode(exported | {'group_by': by})}",
        "csv_times": f"/api/v1/usage/analytics?{urlencode(exported | {'group_by': f'{times.grain},{by}', 'order': 'group'})}",
    }
    return render(request, "usage.html", values)


def _label(by: str, value: str | None, names: Mapping[str, str]) -> str:
    if not value:
        return _NONE.get(by, "none")
    return names.get(value, value)


def _series(
    lines: Sequence[Line], grain: str, by: str, top: Sequence[str | None], labels: Sequence[str], measure: Any
) -> list[tuple[str, dict[str, Decimal]]]:
    """By label, what each time has of the measure."""
    found: list[dict[str, Decimal]] = [defaultdict(Decimal) for _ in labels]
    for line in lines:
        place = top.index(line.group[by]) if line.group[by] in top else len(top)
        found[place][line.group[grain] or ""] += measure(line)
    return list(zip(labels, found, strict=True))


def _cost(line: Line) -> Decimal:
    return line.cost_usd


def _tokens(line: Line) -> Decimal:
    told = in_full(line)
    return Decimal(told["input_tokens"] + told["output_tokens"])


def _by_time(lines: Sequence[Line], times: Times) -> list[dict[str, str]]:
    """The sums of each time, the newest first, for those who cannot see the charts."""
    costs: dict[str, Decimal] = defaultdict(Decimal)
    tokens: dict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        name = line.group[times.grain] or ""
        costs[name] += line.cost_usd
        tokens[name] += _tokens(line)
    return [{"time": name, "cost": dollars(costs[name]), "tokens": amount(tokens[name])} for name in reversed(times.names)]


def _for_people(line: Line) -> dict[str, str]:
    told = in_full(line)
    return {
        "cost": dollars(line.cost_usd),
        "unpriced": amount(line.unpriced) if line.unpriced else "",
        "tokens": amount(told["input_tokens"] + told["output_tokens"]),
        "input": amount(told["input_tokens"]),
        "output": amount(told["output_tokens"]),
        "requests": amount(line.requests),
        "failed": _percent(told["error_rate"]),
        "failovers": _percent(told["failover_rate"]),
        "cached": _percent(told["cache_rate"]),
        "saved": dollars(line.saved_usd),
        "median": _milliseconds(told["latency_p50_ms"]),
        "slowest": _milliseconds(told["latency_p95_ms"]),
    }


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate * 100:.1f} %"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms"
