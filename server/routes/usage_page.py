"""`/usage`: what was used and what it cost, over time and by whatever it can be told apart by, for people to explore."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BeforeValidator
from starlette.responses import Response

from core import denials
from core.database import utc_now
from core.errors import InvalidRequest
from core.ledger.usage import Line, Question, analyse
from core.principals import Principal, Scope
from server.access.directory import Directory
from server.auth import requires
from server.pages.amounts import amount, dollars, milliseconds, percent
from server.pages.explorer import (
    DIMENSIONS,
    MEASURES,
    SHOWN,
    TAG,
    Explored,
    Measure,
    compared,
    dimension_title,
    label_of,
    over_time,
)
from server.pages.figures import in_words
from server.pages.frame import PageRoute, framed
from server.pages.periods import GRAINS, PERIODS, Grain, Period, Times
from server.routes.analytics import in_full
from server.routes.usage import sessions_of
from server.state import CurrentState

router = APIRouter(include_in_schema=False, route_class=PageRoute)

PATH = "/usage"
_ROWS = 50
_MOST_FILTERS = 20
_NAMED = ("principal", "team", "key_id")

#: An empty field of the form is none.
Day = Annotated[date | None, BeforeValidator(lambda value: value or None), Query()]
Name = Annotated[str, Query(max_length=80)]


@router.get(PATH)
async def show_usage(
    request: Request,
    state: CurrentState,
    principal: Annotated[Principal, requires(Scope.USAGE_READ)],
    period: Annotated[Period, Query()] = "30d",
    grain: Annotated[Grain, Query()] = "",
    first: Day = None,
    last: Day = None,
    by: Name = "model",
    and_by: Name = "",
    tag: Annotated[str, Query(max_length=64, description="the name of the tag, where `tag` is chosen")] = "",
    measure: Annotated[Measure, Query()] = "cost",
    only: Annotated[list[str], Query(max_length=_MOST_FILTERS)] = [],  # noqa: B006
    filter_by: Name = "",
    filter_is: Annotated[str, Query(max_length=256)] = "",
    tenants: Annotated[str, Query(max_length=3)] = "",
) -> Response:
    """The page."""
    if tenants and not principal.may(Scope.TENANTS_MANAGE):
        raise denials.lacks(principal, Scope.TENANTS_MANAGE, act="see all tenants")
    times = Times.of(period, utc_now(), grain=grain, first=first, last=last)
    chosen = Explored(
        path=PATH,
        period=period,
        grain=grain,
        first=first.isoformat() if first else "",
        last=last.isoformat() if last else "",
        by=_tagged(by, tag),
        and_by="" if and_by == by and by != "tag" else _tagged(and_by, tag),
        measure=measure,
        only=tuple(dict.fromkeys([*only, *([f"{_tagged(filter_by, tag)}={filter_is.strip()}"] if filter_by else [])])),
        tenants="all" if tenants else "",
    )

    async def ask(*group_by: str) -> list[Line]:
        tenant, own = None if chosen.tenants else principal.tenant, sessions_of(principal)
        return await analyse(
            state.database, Question(tenant, group_by, times.since, times.until, _filters(chosen.only), sessions_of=own)
        )

    (whole,), groups, over = await ask(), await ask(*chosen.group_by), await ask(times.grain, chosen.by)
    ranked = groups if not chosen.and_by else await ask(chosen.by)
    asked = {value for line in groups for name, value in line.group.items() if name in _NAMED and value}
    names = await Directory(state.database).names(principal, asked)
    top = [line.group[chosen.by] for line in ranked[:SHOWN]]
    offered = DIMENSIONS | ({"tenant": "Tenant"} if chosen.tenants else {}) | {"tag": "A tag"}
    values = {
        "chosen": chosen,
        "times": times,
        "periods": PERIODS,
        "grains": GRAINS,
        "measures": MEASURES,
        "dimensions": offered,
        "tag": tag or next((name.removeprefix(TAG) for name in chosen.group_by if name.startswith(TAG)), ""),
        "heads": [dimension_title(name) for name in chosen.group_by],
        "filters": [_shown_filter(each, names, chosen) for each in chosen.only],
        "may_see_all": principal.may(Scope.TENANTS_MANAGE),
        "whole": _for_people(whole),
        "time_figure": over_time(over, times, chosen, top, names),
        "compared_figure": compared(groups, chosen, names),
        "groups": [_row(line, chosen, names) for line in groups[:_ROWS]],
        "more": max(0, len(groups) - _ROWS),
        "csv_groups": chosen.csv(times, over_time=False),
        "csv_times": chosen.csv(times, over_time=True),
    }
    return framed(request, principal, "usage", values)


def _tagged(name: str, tag: str) -> str:
    """A dimension's name: of a tag, the name of the tag as well.

    Raises:
        InvalidRequest: a tag without a name.
    """
    if name != "tag":
        return name
    if not tag.strip():
        raise InvalidRequest("Say which tag.", param="tag")
    return f"{TAG}{tag.strip()}"


def _filters(only: tuple[str, ...]) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for each in only:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise InvalidRequest("A filter reads DIMENSION=VALUE.", code="invalid_filter", param="only")
        wanted.setdefault(name, []).append(value)
    return wanted


def _shown_filter(one: str, names: dict[str, str], chosen: Explored) -> dict[str, str]:
    name, _, value = one.partition("=")
    return {"title": dimension_title(name), "value": label_of(name, value, names), "without": chosen.without(one), "told": one}


def _row(line: Line, chosen: Explored, names: dict[str, str]) -> dict[str, Any]:
    labels = [label_of(name, line.group[name], names) for name in chosen.group_by]
    return _for_people(line) | {"labels": labels, "into": chosen.into({name: line.group[name] for name in chosen.group_by})}


def _for_people(line: Line) -> dict[str, Any]:
    told = in_full(line)
    price = told["usd_per_1k_tokens"]
    return {
        "cost": dollars(line.cost_usd),
        "unpriced": amount(line.unpriced) if line.unpriced else "",
        "tokens": amount(told["input_tokens"] + told["output_tokens"]),
        "input": amount(told["input_tokens"]),
        "output": amount(told["output_tokens"]),
        "requests": amount(line.requests),
        "failed": percent(told["error_rate"]),
        "failovers": percent(told["failover_rate"]),
        "cached": percent(told["cache_rate"]),
        "saved": dollars(line.saved_usd),
        "median": milliseconds(told["latency_p50_ms"]),
        "slowest": milliseconds(told["latency_p95_ms"]),
        "first_token": milliseconds(told["first_token_p95_ms"]),
        "price": "unpriced" if price is None and line.unpriced else in_words(price, "usd"),
    }
