"""Series as they are drawn: points of a while, made coarse enough to be few, with what was found in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Integer, cast, extract
from sqlmodel import col, func, select

from core.database import Database
from core.errors import InvalidRequest
from core.money import Money
from core.tables import MonitorAnomaly, MonitorPoint
from core.tenancy import ALL
from evals.monitors.metrics import METRICS, WatchedMetric
from evals.monitors.points import SUMS, Named, Sums

#: Points that one series is drawn with at most, and the time that may be asked for.
MOST_POINTS: Final = 720
LONGEST: Final = timedelta(days=31)
#: Anomalies that are told of one question at most.
_MOST_ANOMALIES: Final = 500


@dataclass(frozen=True, slots=True)
class Asked:
    """Which series, from `since` on and before `until`. `only` are values of alias, provider, model or version. `tenant` None:
    of all tenants together."""

    tenant: str | None
    metric: str
    since: datetime
    until: datetime
    only: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not timedelta(0) < self.until - self.since <= LONGEST:
            raise InvalidRequest(
                f"`to` must be after `from`, by {LONGEST.days} days at most.", code="invalid_range", param="to"
            )

    @property
    def of(self) -> WatchedMetric:
        return METRICS[self.metric]


@dataclass(slots=True)
class Drawn:
    """A series: when, how much, of how many calls; and the anomalies in it."""

    named: Named
    points: list[tuple[datetime, float, int]] = field(default_factory=list)
    anomalies: list[MonitorAnomaly] = field(default_factory=list)


async def drawn(database: Database, asked: Asked, *, point_s: int) -> list[Drawn]:
    """The series that are asked for, by name. Each value stands for the same number of points."""
    length_s = (asked.until - asked.since).total_seconds()
    seconds = point_s * max(1, -(-round(length_s / point_s) // MOST_POINTS))
    found: dict[Named, Drawn] = {}
    for named, at, sums in await _sums(database, asked, seconds):
        if (measured := asked.of.measured(sums)) is not None:
            found.setdefault(named, Drawn(named)).points.append((at, *measured))
    for anomaly in await _anomalies(database, asked):
        named = Named(anomaly.alias, anomaly.provider, anomaly.model, anomaly.version)
        if named in found:
            found[named].anomalies.append(anomaly)
    return [found[named] for named in sorted(found)]


def _sums_of(row: Any) -> Sums:
    return Sums(*(getattr(row, name) for name in SUMS))


async def _sums(database: Database, asked: Asked, seconds: int) -> list[tuple[Named, datetime, Sums]]:
    if database.is_sqlite:
        number: Any = cast(func.strftime("%s", MonitorPoint.at), Integer) // seconds
    else:
        number = cast(func.floor(extract("epoch", col(MonitorPoint.at)) / seconds), Integer)
    number = number.label("number")  # of the point that it becomes a part of
    names = [col(getattr(MonitorPoint, name)) for name in Named._fields]
    sums: list[Any] = [
        func.sum(getattr(MonitorPoint, name), **({"type_": Money} if name == "cost_usd" else {})).label(name) for name in SUMS
    ]
    columns: list[Any] = [*names, number, *sums]
    query: Any = select(*columns).where(MonitorPoint.at >= asked.since, MonitorPoint.at < asked.until)
    for name, value in asked.only.items():
        query = query.where(getattr(MonitorPoint, name) == value)
    query = query.group_by(*names, number).order_by(*names, number)
    async with database.session(asked.tenant, all_tenants=asked.tenant is None) as session:
        rows = (await session.exec(query)).all()
    return [
        (
            Named(*row[:4]),
            max(datetime.fromtimestamp(row.number * seconds, UTC), asked.since),
            _sums_of(row),
        )
        for row in rows
    ]


async def _anomalies(database: Database, asked: Asked) -> list[MonitorAnomaly]:
    query = select(MonitorAnomaly).where(
        MonitorAnomaly.tenant == (asked.tenant or ALL),
        MonitorAnomaly.metric == asked.metric,
        MonitorAnomaly.since < asked.until,
        (col(MonitorAnomaly.ended_at).is_(None)) | (col(MonitorAnomaly.ended_at) >= asked.since),
    )
    for name, value in asked.only.items():
        query = query.where(getattr(MonitorAnomaly, name) == value)
    query = query.order_by(col(MonitorAnomaly.since)).limit(_MOST_ANOMALIES)
    async with database.session(asked.tenant, all_tenants=asked.tenant is None) as session:
        return list((await session.exec(query)).all())
