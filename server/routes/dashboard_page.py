"""`/dashboard`: what happens now, for people; its script takes it on from there by the events of the API."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from sqlmodel import select
from starlette.responses import Response

from core.principals import Scope
from core.tables import Tenant
from server.dashboard.board import AlertNow, AnomalyNow, Board, ProviderNow
from server.pages.figures import Figure, Mark, Series, in_words, shortened
from server.pages.frame import PageRoute, framed
from server.pages.monitoring import METRIC_NAMES, UNITS
from server.routes import dashboard as api
from server.routes.dashboard import Watcher, board, chosen
from server.state import CurrentState, State

PATH = "/dashboard"
_MINUTE_S = 60
router = APIRouter(include_in_schema=False, route_class=PageRoute)

_SEVERITIES = {"info": "", "warning": "wait", "critical": "bad"}
#: How a deployment does, in words, by its state; one that answers is told by its breaker.
_STATES = {"killed": ("bad", "switched off"), "failed": ("bad", "probe failed"), "loading": ("wait", "loading")}
_BREAKERS = {"open": ("bad", "left alone"), "half_open": ("wait", "tried again")}


@router.get(PATH)
async def show_dashboard(
    request: Request, state: CurrentState, principal: Watcher, whose: Annotated[str | None, Depends(chosen)]
) -> Response:
    """The page."""
    now = board(state, principal, whose, await state.watching.look(whose, state.models.budgets))
    own = whose == principal.tenant
    values = {
        "board": now,
        "tiles": tiles(now),
        "charts": charts(now),
        "severities": _SEVERITIES,
        "health": health,
        "ago": ago,
        "in_words": anomaly_in_words,
        "alert_in_words": partial(alert_in_words, budgets={one.id: one.name for one in now.budgets if one.name}),
        "may_see_models": principal.may(Scope.MODELS_READ),
        "tenants": await _tenants(state) if principal.may(Scope.TENANTS_MANAGE) else [],
        "stream": api.router.prefix + ("" if own else f"?{urlencode({'tenant': whose or api.ALL})}"),
    }
    return framed(request, principal, "dashboard", values)


async def _tenants(state: State) -> list[str]:
    async with state.database.session(all_tenants=True) as session:
        return list((await session.exec(select(Tenant.id).order_by(Tenant.id))).all())


def tiles(told: Board) -> list[tuple[str, str, str, str, str]]:
    """What stands at the top: its key, title and value, and the same of what is said below."""
    now = told.now
    return [
        ("calls", "Calls a minute", in_words(now.calls_a_minute, "count"), "", "of the last five minutes"),
        ("failed", "Failed", in_words(now.failed_share, "share"), "", "of those calls"),
        (
            "p95",
            "Latency, 95 %",
            in_words(now.latency_p95_ms, "ms"),
            "p50",
            f"half within {in_words(now.latency_p50_ms, 'ms')}",
        ),
        (
            "hour",
            "Cost of the hour",
            in_words(now.cost_hour_usd, "usd"),
            "tokens",
            f"{in_words(now.tokens_hour, 'count')} tokens",
        ),
        (
            "today",
            "Cost today",
            in_words(now.cost_today_usd, "usd"),
            "month",
            f"{in_words(now.cost_month_usd, 'usd')} this month",
        ),
    ]


def charts(told: Board) -> list[Figure]:
    """The series of the last hour."""
    minutes = told.minutes
    shared: dict[str, Any] = {"head": "Minute", "labels": minutes.at, "shorts": [shortened(at) for at in minutes.at]}
    return [
        Figure(
            id="traffic",
            title="Calls a minute",
            about="Calls of each minute: answered, answered by the cache, failed; the table below has the numbers",
            kind="columns",
            unit="count",
            series=[
                Series("answered", minutes.answered),
                Series("from the cache", minutes.cached),
                Series("failed", minutes.failed, "bad"),
            ],
            marks=_marks(told, "error_rate", "refusal_rate", "feedback", "eval_score"),
            **shared,
        ),
        Figure(
            id="latency",
            title="Latency",
            about="How long answers took in each minute, half of them and 95 %; the table below has the numbers",
            kind="lines",
            unit="ms",
            series=[Series("half within", minutes.latency_p50_ms), Series("95 % within", minutes.latency_p95_ms)],
            marks=_marks(told, "latency_ms", "first_token_ms", "token_ms"),
            **shared,
        ),
        Figure(
            id="cost",
            title="Cost a minute",
            about="What the calls of each minute cost, by provider; the table below has the numbers",
            kind="columns",
            unit="usd",
            series=[Series(name, values) for name, values in minutes.cost_usd.items()],
            marks=_marks(told, "cost_usd"),
            **shared,
        ),
        Figure(
            id="tokens",
            title="Tokens a minute",
            about="Tokens of each minute, sent and made; the table below has the numbers",
            kind="columns",
            unit="count",
            series=[Series("tokens", minutes.tokens)],
            marks=_marks(told, "tokens"),
            **shared,
        ),
    ]


def alert_in_words(one: AlertNow, budgets: Mapping[str, str]) -> str:
    """What it is of, budgets by their names, and what is likely to blame."""
    names = {"budget": budgets, "metric": METRIC_NAMES}
    text = " · ".join(names.get(name, {}).get(value, str(value)) for name, value in one.subject.items())
    return f"{text} ({one.cause})" if one.cause else text


def anomaly_in_words(one: AnomalyNow) -> str:
    """What was seen, of what, and what is likely to blame."""
    unit = UNITS.get(one.unit, "number")
    change = f"{in_words(one.before, unit)} to {in_words(one.after, unit)}"
    text = f"{one.alias} at {one.provider} {one.model}: {METRIC_NAMES.get(one.metric, one.metric)} {one.kind}, {change}"
    return f"{text} ({one.cause})" if one.cause else text


def _marks(told: Board, *metrics: str) -> list[Mark]:
    return [Mark(one.minute, anomaly_in_words(one)) for one in told.anomalies if one.minute and one.metric in metrics]


def health(one: ProviderNow) -> tuple[str, str]:
    """The tone and the words of how a deployment does: by its breaker and its calls, as far as there were any."""
    known = _STATES.get(one.state) if one.state != "failed" else None
    if (known := known or _BREAKERS.get(one.breaker)) is not None:
        return known
    last, wrong = one.last_answer_age_s, one.last_error_age_s
    if one.failures or (wrong is not None and (last is None or wrong < last)):
        return "wait", "failing"
    if one.state != "ready":
        return _STATES.get(one.state, ("", one.state))
    return ("", "not called yet") if last is None else ("good", "well")


def ago(age_s: float | None) -> str:
    """How long ago something was; None: never."""
    if age_s is None:
        return "–"
    return "just now" if age_s < _MINUTE_S else f"{age_s // _MINUTE_S:.0f} min ago"
