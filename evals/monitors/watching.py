"""Reads the ledger point by point, gives each series' values to its detectors, and puts down what they tell.

Any number of processes may do it: a pass holds where the turn is still what it found at its beginning, so that each point is
seen by one of them. What detectors know is kept now and then; whoever goes on from there sees the points since once more.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from core.database import Database, utc_now
from core.monitor_settings import MonitorSettings
from core.tables import AnomalyState, MonitorAnomaly, MonitorGrade, MonitorPoint, MonitorSeries, MonitorSketch, MonitorTurn
from core.tenancy import ALL
from evals.monitors.anomalies import Told, told_of
from evals.monitors.detectors import Detector
from evals.monitors.levels import measured
from evals.monitors.metrics import METRICS
from evals.monitors.opinions import points_of_opinions
from evals.monitors.points import Named, Point, across_tenants, floor_of, point_of, points_of_ledger, together

#: The time that one pass sees at most.
_AT_ONCE: Final = timedelta(hours=6)
#: The time after which what detectors know is kept, and that is looked back for what came since: longer, to be sure.
_KEPT_EVERY: Final = timedelta(minutes=15)
_LOOK_BACK: Final = timedelta(hours=7)
#: Without calls for so long, a series' detectors give way to another's.
_QUIET: Final = timedelta(days=1)
#: Rows of one statement.
_ROWS: Final = 500
_TURN: Any = MonitorTurn.__table__.c  # type: ignore[attr-defined]
_POINT: Any = MonitorPoint.__table__.c  # type: ignore[attr-defined]
_SERIES: Any = MonitorSeries.__table__.c  # type: ignore[attr-defined]
_ANOMALY: Any = MonitorAnomaly.__table__.c  # type: ignore[attr-defined]

Key = tuple[str, Named]


class Watch:
    """Belongs to the event loop of its database. Series of the installation are `*`'s; those of tenants are beside them."""

    def __init__(self, database: Database, settings: MonitorSettings) -> None:
        self._database, self._settings = database, settings
        self._detectors: dict[Key, dict[str, Detector]] = {}
        self._last: dict[Key, datetime] = {}
        self._kept: dict[tuple[str, str], dict[str, Any]] = {}
        self._changed: set[Key] = set()
        #: How far this process has seen the ledger; None where it has to read first what others know.
        self._through: datetime | None = None
        self._kept_at: datetime | None = None

    async def catch_up(self, now: datetime | None = None) -> int:
        """See all that the ledger has of points that are over; how many passes that took."""
        passes = 0
        while await self._pass(now or utc_now()):
            passes += 1
        return passes

    async def forget(self, now: datetime | None = None) -> None:
        """Delete what is past its time."""
        now = now or utc_now()
        old = now - timedelta(days=self._settings.points_days)
        ended = (_ANOMALY.ended_at < now - timedelta(days=self._settings.anomalies_days), _ANOMALY.ended_at.is_not(None))
        async with self._database.transaction(all_tenants=True) as session:
            connection = await session.connection()
            await connection.execute(delete(MonitorPoint).where(_POINT.at < old))
            await connection.execute(delete(MonitorGrade).where(col(MonitorGrade.at) < old))
            await connection.execute(delete(MonitorSketch).where(col(MonitorSketch.at) < old))
            await connection.execute(delete(MonitorSeries).where(_SERIES.through < old))
            await connection.execute(delete(MonitorAnomaly).where(*ended))
        for key in [key for key, each in self._kept.items() if each["through"] < old]:
            del self._kept[key]

    async def _pass(self, now: datetime) -> bool:
        """See some of it. False: there is no more."""
        seconds = self._settings.point_s
        through = await self._turn()
        begin = through or floor_of(now - timedelta(days=self._settings.learn_days), seconds)
        until = min(begin + _AT_ONCE, floor_of(now - timedelta(seconds=self._settings.late_s), seconds))
        if until <= begin:
            return False
        if through is None or through != self._through:
            await self._load(through)
        points = await points_of_ledger(self._database, begin, until, seconds)
        if opinions := await points_of_opinions(self._database, begin, until, seconds):
            points = together([*points, *opinions])
        told = await asyncio.to_thread(self._seen, [*across_tenants(points, ALL), *points])
        told = await measured(self._database, told, points, self._usual)
        keeps = self._kept_at is None or until - self._kept_at >= _KEPT_EVERY
        if not await self._written(through, until, points, told, keeps=keeps):
            self._through = None  # another process was before us, and its points were seen by it alone
            return True
        self._through = until
        if keeps:
            self._kept_at = until
            self._changed.clear()
        return True

    async def _turn(self) -> datetime | None:
        async with self._database.session(all_tenants=True) as session:
            found = (await (await session.connection()).execute(select(_TURN.through).where(_TURN.id == 1))).one()
        through: datetime | None = found.through
        return through

    async def _load(self, through: datetime | None) -> None:
        """What others know, with the points that were seen since."""
        self._detectors.clear()
        self._last.clear()
        self._changed.clear()
        self._kept = {}
        self._kept_at = through
        if through is None:
            return
        since = through - _LOOK_BACK
        async with self._database.session(all_tenants=True) as session:
            connection = await session.connection()
            query = select(*_SERIES).order_by((_SERIES.tenant == ALL).desc(), _SERIES.through.desc())
            rows = (await connection.execute(query.limit(self._settings.most_series))).all()
            recent = select(*_POINT).where(_POINT.at >= since, _POINT.at < through).order_by(_POINT.at)
            points = [point_of(row) for row in (await connection.execute(recent)).all()]  # type: ignore[arg-type]  # same names
        for row in rows:
            self._kept[row.tenant, row.series] = {"detectors": row.detectors, "through": row.through}
        await asyncio.to_thread(self._again, [*across_tenants(points, ALL), *points])

    def _again(self, points: Iterable[Point]) -> None:
        known = {key: each["through"] for key, each in self._kept.items()}
        self._seen([point for point in points if point.at >= known.get((point.tenant, point.named.digest), point.at)])

    def _seen(self, points: Iterable[Point]) -> list[Told]:
        """What detectors tell of the points, in the order of time."""
        told: list[Told] = []
        for point in sorted(points, key=lambda each: each.at):
            detectors = self._of(point)
            if detectors is None:
                continue
            for name, metric in METRICS.items():
                if (found := metric.measured(point.sums)) is None:
                    continue
                detector = detectors.get(name)
                if detector is None:
                    detector = detectors[name] = Detector(metric.tuning)
                value, calls = found
                changes = detector.update(point.at.timestamp(), metric.seen(value), calls)
                told += [told_of(point, metric, change) for change in changes]
            self._changed.add((point.tenant, point.named))
        return told

    def _usual(self, told: Told, at: datetime) -> float | None:
        detectors = self._detectors.get((told.tenant, told.named), {})
        return detectors[told.metric.name].usual(at.timestamp()) if told.metric.name in detectors else None

    def _of(self, point: Point) -> dict[str, Detector] | None:
        """The detectors of a series; None where there are too many already."""
        key = point.tenant, point.named
        found = self._detectors.get(key)
        if found is None:
            if len(self._detectors) >= self._settings.most_series and not self._made_room(point):
                return None
            kept = self._kept.pop((point.tenant, point.named.digest), None)
            states = {} if kept is None else kept["detectors"]
            found = {name: Detector.of(state, METRICS[name].tuning) for name, state in states.items() if name in METRICS}
            self._detectors[key] = found
        self._last[key] = point.at
        return found

    def _made_room(self, point: Point) -> bool:
        """One that nobody has called for a day gives way; for a series of the installation also a tenant's."""
        oldest = min(self._detectors, key=self._last.__getitem__)
        if self._last[oldest] > point.at - _QUIET:
            own = next((key for key in self._detectors if key[0] != ALL), None)
            if point.tenant != ALL or own is None:
                return False
            oldest = own
        del self._detectors[oldest], self._last[oldest]
        self._changed.discard(oldest)
        return True

    async def _written(
        self, through: datetime | None, until: datetime, points: list[Point], told: list[Told], *, keeps: bool
    ) -> bool:
        """Whether the pass holds."""
        states = await asyncio.to_thread(self._states, until) if keeps else []
        async with self._database.transaction(all_tenants=True) as session:
            connection = await session.connection()
            before = _TURN.through.is_(None) if through is None else _TURN.through == through
            turn = update(MonitorTurn).where(_TURN.id == 1, before).values(through=until)
            if (await connection.execute(turn)).rowcount != 1:
                await session.rollback()
                return False
            insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
            for some in _some([point.row() for point in points]):
                await connection.execute(insert(MonitorPoint).on_conflict_do_nothing(), some)
            kept = insert(MonitorSeries)
            newer = {"detectors": kept.excluded.detectors, "through": kept.excluded.through}
            kept = kept.on_conflict_do_update(index_elements=["tenant", "series"], set_=newer)
            for some in _some(states):
                await connection.execute(kept, some)
            for each in told:
                if each.ends:
                    over = update(MonitorAnomaly).where(_ANOMALY.id == each.id, _ANOMALY.state == AnomalyState.OPEN.value)
                    await connection.execute(over.values(state=each.state, ended_at=each.at))
                else:
                    new = insert(MonitorAnomaly).values(**each.row())
                    better = {name: new.excluded[name] for name in ("kind", "before", "after", "sigmas", "worse")}
                    await connection.execute(new.on_conflict_do_update(index_elements=["id"], set_=better))
        return True

    def _states(self, until: datetime) -> list[dict[str, Any]]:
        return [
            {
                "tenant": tenant,
                "series": named.digest,
                "through": until,
                "detectors": {name: each.state() for name, each in self._detectors[tenant, named].items()},
            }
            for tenant, named in self._changed
        ]


def _some(rows: list[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    return (rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS))
