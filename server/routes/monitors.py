"""What monitors see: series of each deployment and version, and what has changed in them."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from sqlmodel import col, select

from core import denials
from core.database import utc_now
from core.moments import Moment
from core.principals import Principal, Scope
from core.tables import AnomalyState, MonitorAnomaly
from core.tenancy import ALL
from evals.monitors.drifts import drifts
from evals.monitors.grading import graded_since
from evals.monitors.metrics import METRICS
from evals.monitors.patterns import patterns
from evals.monitors.series import Asked, Drawn, drawn
from retrievers.sharing import searched_by
from server.auth import requires
from server.pagination import Paging, page, page_of
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/monitors", tags=["Operations"])

Reader = Annotated[Principal, requires(Scope.MONITORS_READ)]
Metric = Literal[
    "latency_ms",
    "first_token_ms",
    "token_ms",
    "error_rate",
    "refusal_rate",
    "feedback",
    "eval_score",
    "cost_usd",
    "tokens",
]
Name = Annotated[str | None, Query(max_length=256)]
_DAY = timedelta(days=1)


def whose(
    principal: Reader,
    all_tenants: Annotated[
        bool, Query(description="of all tenants together, as alerts are raised by: with `tenants:manage`")
    ] = False,
) -> str | None:
    """The tenant whose calls are asked for; None: of all.

    Raises:
        Forbidden: other tenants' calls, without the right to.
    """
    if all_tenants and not principal.may(Scope.TENANTS_MANAGE):
        raise denials.lacks(principal, Scope.TENANTS_MANAGE, act="see all tenants")
    return None if all_tenants else principal.tenant


Whose = Annotated[str | None, Depends(whose)]


async def told_of(state: State, principal: Principal, tenant: str | None) -> frozenset[str] | None:
    """The collections that a caller is told of; None: all, for who sees all tenants."""
    return None if tenant is None else await searched_by(state.database, principal)


class Names(BaseModel):
    """What a series is of."""

    alias: str
    provider: str
    model: str
    version: str = Field(description="of the alias, as the ledger has it; empty where it has none")


class Anomaly(Names):
    """A series that is no longer what it was, or was not for a while."""

    id: str
    metric: str
    unit: str = Field(description="of `before` and `after`: `ms`, `share`, `usd` or `tokens`")
    kind: str = Field(description="`step`, `ramp` or `spike`")
    state: AnomalyState = Field(description="`open`; `back`: as it was; `accepted`: the new level is what is usual now")
    worse: bool = Field(description="a change to the worse, as far as that can be told")
    since: datetime
    seen_at: datetime
    ended_at: datetime | None
    before: float = Field(description="what was to be expected")
    after: float = Field(description="what came")
    sigmas: float = Field(description="how far that is, in standard deviations of what the series does anyway")
    cause: dict[str, Any] = Field(description="`blamed` and `why`, where it was compared with others; else empty")

    @classmethod
    def of(cls, row: MonitorAnomaly) -> "Anomaly":
        unit = METRICS[row.metric].unit if row.metric in METRICS else ""
        return cls.model_validate(row.model_dump(exclude={"tenant", "series"}) | {"unit": unit})


class AnomalyPage(BaseModel):
    """Some of the anomalies, those that began last first."""

    results: list[Anomaly]
    next_cursor: str | None


class SeriesPoint(BaseModel):
    """A value, and the calls that it is the mean of."""

    at: datetime
    value: float
    calls: int


class Series(Names):
    """The course of a metric, with what was found in it."""

    metric: str
    unit: str
    points: list[SeriesPoint]
    anomalies: list[Anomaly]

    @classmethod
    def of(cls, series: Drawn, asked: Asked) -> "Series":
        return cls(
            **series.named._asdict(),
            metric=asked.metric,
            unit=asked.of.unit,
            points=[SeriesPoint(at=at, value=value, calls=calls) for at, value, calls in series.points],
            anomalies=[Anomaly.of(row) for row in series.anomalies],
        )


class SeriesPage(BaseModel):
    """Some of the series, by name."""

    results: list[Series]
    next_cursor: str | None


@router.get("/series")
async def series(
    state: CurrentState,
    tenant: Whose,
    paging: Paging,
    metric: Annotated[Metric, Query(description="what of them")] = "latency_ms",
    alias: Name = None,
    provider: Name = None,
    model: Name = None,
    version: Name = None,
    since: Annotated[Moment | None, Query(alias="from", description="not before; empty: a day before `to`")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="before; empty: now")] = None,
) -> SeriesPage:
    """Show the course of a metric: the caller's tenant's calls, by deployment and version. Coarser where it is long."""
    named = {"alias": alias, "provider": provider, "model": model, "version": version}
    end = until or utc_now()
    only = {name: value for name, value in named.items() if value is not None}
    asked = Asked(tenant, metric, since or end - _DAY, end, only)
    found = await drawn(state.database, asked, point_s=state.settings.monitors.point_s)
    told = page_of(found, paging, lambda each: each.named.digest)
    return SeriesPage(results=[Series.of(each, asked) for each in told["results"]], next_cursor=told["next_cursor"])


@router.get("/anomalies", response_model=AnomalyPage)
async def anomalies(
    state: CurrentState,
    tenant: Whose,
    paging: Paging,
    metric: Annotated[Metric | None, Query(description="of this metric")] = None,
    alias: Name = None,
    is_state: Annotated[AnomalyState | None, Query(alias="state", description="those that stand so")] = None,
    worse: Annotated[bool | None, Query(description="those to the worse, or the others")] = None,
    since: Annotated[Moment | None, Query(alias="from", description="that began not before")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="that began before")] = None,
) -> dict[str, object]:
    """List what has changed."""
    whose_rows = tenant or ALL
    query = select(MonitorAnomaly).where(MonitorAnomaly.tenant == whose_rows)
    wanted = {"metric": metric, "alias": alias, "state": is_state.value if is_state else None, "worse": worse}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(getattr(MonitorAnomaly, name) == value)
    begun, identifier = col(MonitorAnomaly.since), col(MonitorAnomaly.id)
    if since is not None:
        query = query.where(begun >= since)
    if until is not None:
        query = query.where(begun < until)
    async with state.database.session(tenant, all_tenants=tenant is None) as session:
        if paging.after is not None:
            last = await session.get(MonitorAnomaly, paging.after)
            if last is None or last.tenant != whose_rows:
                return page([], None)
            query = query.where((begun < last.since) | ((begun == last.since) & (identifier < last.id)))
        rows = (await session.exec(query.order_by(begun.desc(), identifier.desc()).limit(paging.limit + 1))).all()
    shown = rows[: paging.limit]
    return page([Anomaly.of(row) for row in shown], shown[-1].id if len(rows) > paging.limit else None)


class DriftInfo(BaseModel):
    """Whether what is asked of a collection, or what that finds, is no longer what it was."""

    collection_id: str
    model: str = Field(description="that made the embeddings")
    what: Literal["questions", "nearness"] = Field(
        description="`questions`: what they mean; `nearness`: how near the best passage is"
    )
    questions: int = Field(description="of the last day")
    questions_before: int = Field(description="of the days before that it is compared with")
    index: float | None = Field(description="population stability index; null: too little was asked to say")
    chance: float | None = Field(description="what chance alone exceeds once in 200 times")
    drifted: bool
    classes: list[int] = Field(
        description="questions of the last day in each class: 16 groups of meaning, or 20 of nearness from 0 to 1"
    )
    classes_before: list[int] = Field(description="the same of the days before")


class DriftPage(BaseModel):
    """Some of the collections."""

    results: list[DriftInfo]
    next_cursor: str | None


@router.get("/drift")
async def drift(state: CurrentState, principal: Reader, tenant: Whose, paging: Paging) -> DriftPage:
    """Compare what was asked of each collection that you may search within the last day with the days before."""
    found = await drifts(state.database, state.settings.monitors, tenant, only=await told_of(state, principal, tenant))
    told = page_of(found, paging, lambda each: f"{each.collection_id}:{each.model}:{each.what}")
    fields = DriftInfo.model_fields
    results = [DriftInfo.model_validate({name: getattr(each, name) for name in fields}) for each in told["results"]]
    return DriftPage(results=results, next_cursor=told["next_cursor"])


class Named(BaseModel):
    """How often something was called."""

    name: str
    calls: int


class Topics(BaseModel):
    """The groups of questions that a collection was asked. They have numbers and no names: what was asked is not kept."""

    collection_id: str
    questions: int
    groups: list[int] = Field(description="questions of each group")


class PatternsInfo(BaseModel):
    """When, what for, by whom, and what about."""

    since: datetime
    until: datetime
    week: list[list[int]] = Field(description="calls by weekday, from Monday, and hour of the day in UTC")
    capabilities: list[Named]
    tenants: list[Named] = Field(description="the caller's own, or all")
    topics: list[Topics] = Field(description="of the 200 collections that were asked most")


@router.get("/patterns")
async def usage_patterns(
    state: CurrentState,
    principal: Reader,
    tenant: Whose,
    since: Annotated[Moment | None, Query(alias="from", description="not before; empty: four weeks before `to`")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="before; empty: now")] = None,
) -> PatternsInfo:
    """Show when the platform is used, and what for; topics of the collections that you may search."""
    end = until or utc_now()
    begin = since or end - 28 * _DAY
    found = await patterns(state.database, tenant, begin, end, only=await told_of(state, principal, tenant))
    counts = {
        name: [Named(name=each, calls=number) for each, number in counted.most_common()]
        for name, counted in (("capabilities", found.capabilities), ("tenants", found.tenants))
    }
    topics = [Topics(collection_id=name, questions=sum(each), groups=each) for name, each in found.topics.items()]
    return PatternsInfo(since=begin, until=end, week=found.week, **counts, topics=topics)


class GradeInfo(BaseModel):
    """What was graded of an alias's answers within the last day."""

    alias: str
    metric: str
    measured: int
    mean: float | None = Field(description="from 0 to 1; null: none was measured")
    unmeasured: dict[str, int] = Field(description="by reason")
    cost_usd: float = Field(description="of the models that the metric asked")


class GradePage(BaseModel):
    """Some of what is graded."""

    results: list[GradeInfo]
    next_cursor: str | None


@router.get("/grades")
async def grades(state: CurrentState, tenant: Whose, paging: Paging) -> GradePage:
    """Show what was graded of live traffic within the last day: see `GENAI_MONITORS__GRADING`."""
    found = await graded_since(state.database, tenant, utc_now() - _DAY)
    told = page_of(found, paging, lambda each: f"{each.tenant}:{each.alias}:{each.metric}")
    fields = GradeInfo.model_fields
    results = [GradeInfo.model_validate({name: getattr(each, name) for name in fields}) for each in told["results"]]
    return GradePage(results=results, next_cursor=told["next_cursor"])
