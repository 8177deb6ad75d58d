"""`/monitors`: what has changed, what has drifted, what is graded, and how the platform is used, for people."""

from datetime import timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from sqlmodel import col, select
from starlette.responses import Response

from core import denials
from core.database import utc_now
from core.principals import Principal, Scope
from core.tables import MonitorAnomaly
from core.tenancy import ALL
from evals.monitors.drifts import drifts
from evals.monitors.grading import graded_since
from evals.monitors.metrics import METRICS
from evals.monitors.patterns import patterns
from server.pages.figures import in_words
from server.pages.frame import PageRoute, framed
from server.pages.monitoring import METRIC_NAMES, UNITS, drift_figures, topic_figure, usage_figures
from server.routes.monitors import Reader, told_of
from server.state import CurrentState, State

PATH = "/monitors"
router = APIRouter(include_in_schema=False, route_class=PageRoute)

_PERIODS: Final[dict[str, str]] = {"7": "7 days", "28": "4 weeks", "91": "13 weeks"}
_TONES: Final = {"open": "wait", "back": "good", "accepted": ""}
_SHOWN: Final = 50
_COLLECTIONS: Final = 200
_DAY: Final = timedelta(days=1)


@router.get(PATH)
async def show_monitors(
    request: Request,
    state: CurrentState,
    principal: Reader,
    days: Annotated[Literal["7", "28", "91"], Query()] = "28",
    tenants: Annotated[Literal["", "all"], Query()] = "",
) -> Response:
    """The page."""
    if tenants and not principal.may(Scope.TENANTS_MANAGE):
        raise denials.lacks(principal, Scope.TENANTS_MANAGE, act="see all tenants")
    whose = None if tenants else principal.tenant
    now = utc_now()
    names = await _names(state, principal)
    seen = await told_of(state, principal, whose)
    used = await patterns(state.database, whose, now - timedelta(days=int(days)), now, only=seen)
    drifted = await drifts(state.database, state.settings.monitors, whose, only=seen)
    values = {
        "on": state.settings.monitors.on,
        "days": days,
        "tenants": tenants,
        "periods": _PERIODS,
        "tones": _TONES,
        "may_see_all": principal.may(Scope.TENANTS_MANAGE),
        "anomalies": [(each, changed(each)) for each in await _anomalies(state, whose)],
        "grades": await graded_since(state.database, whose, now - _DAY),
        "drifts": drifted,
        "names": names,
        "drift_figures": drift_figures(drifted, names),
        "calls": sum(used.capabilities.values()),
        "usage_figures": usage_figures(used, tenants=bool(tenants)),
        "topics": topic_figure(used, names),
    }
    return framed(request, principal, "monitors", values)


async def _anomalies(state: State, whose: str | None) -> list[MonitorAnomaly]:
    """The latest, those that go on first."""
    query = select(MonitorAnomaly).where(MonitorAnomaly.tenant == (whose or ALL))
    query = query.order_by(col(MonitorAnomaly.ended_at).is_not(None), col(MonitorAnomaly.since).desc())
    async with state.database.session(whose, all_tenants=whose is None) as session:
        return list((await session.exec(query.limit(_SHOWN))).all())


async def _names(state: State, principal: Principal) -> dict[str, str]:
    """Of the collections that the principal may see; others have their identifiers."""
    if not principal.may_search:
        return {}
    rows, _ = await state.library.collections.page(principal, limit=_COLLECTIONS)
    return {row.id: row.name for row in rows}


def changed(row: MonitorAnomaly) -> str:
    """What has changed, and by how much."""
    unit = UNITS.get(METRICS[row.metric].unit, "number") if row.metric in METRICS else "number"
    name = METRIC_NAMES.get(row.metric, row.metric)
    return f"{name}, {row.kind}: {in_words(row.before, unit)} to {in_words(row.after, unit)}"
