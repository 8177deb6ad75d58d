"""By how much a series has changed, by its calls: a point of one call says less of a level than a point of a hundred.

What a detector tells of a change is the middle of what its points had, which is right for finding it. Here it is measured: what
the calls since had together, against those of the day before, moved by what the profile of the day knows of the two times.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlmodel import col, select

from core.database import Database
from core.tables import AnomalyState, MonitorAnomaly, MonitorPoint
from core.tenancy import ALL
from evals.monitors.anomalies import Told
from evals.monitors.causes import BEFORE, LEAST_CALLS
from evals.monitors.detectors import ChangeKind
from evals.monitors.points import Point, Sums, point_of

#: What is usual at a time for the series that something is told of, as its detector is given it; None where nothing says it.
Usual = Callable[[Told, datetime], float | None]
_Stretch = tuple[datetime, datetime]
#: Changes whose series' points are in memory at once.
_AT_ONCE: Final = 50
#: What has moved little by little is where its last third is.
_THIRDS: Final = 3
_POINT: Any = MonitorPoint.__table__.c  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class _Level:
    """What some points' calls had together, and what was usual at their times, both as detectors see it."""

    seen: float
    calls: int
    usual: float | None


async def measured(database: Database, told: Sequence[Told], points: Sequence[Point], usual: Usual) -> list[Told]:
    """What is told, with levels of changes that are weighed by their calls. `points` are tenants', and not in the database yet.
    A spike is one point, which is measured already."""
    changes = [each for each in told if each.change.kind in (ChangeKind.STEP, ChangeKind.RAMP)]
    weighed: dict[Told, Told] = {}
    for start in range(0, len(changes), _AT_ONCE):
        some = changes[start : start + _AT_ONCE]
        apart = await _apart(database, some)
        for each in told:
            if each.change.kind is ChangeKind.BACK:
                apart[each.series].append((each.since, each.at))
        known = [*await _kept(database, some), *points]
        weighed |= await asyncio.to_thread(_weighed, some, known, apart, usual)
    return [weighed.get(each, each) for each in told]


async def _kept(database: Database, changes: Sequence[Told]) -> list[Point]:
    """The points of their series that are in the database, from a day before the first change on."""
    digests, whose = {each.named.digest for each in changes}, {each.tenant for each in changes}
    query: Any = select(MonitorPoint).where(
        _POINT.series.in_(digests), _POINT.at >= min(each.since for each in changes) - BEFORE
    )
    if ALL not in whose:
        query = query.where(_POINT.tenant.in_(whose))
    async with database.session(all_tenants=True) as session:
        return [point_of(row) for row in (await session.exec(query)).all()]


async def _apart(database: Database, changes: Sequence[Told]) -> dict[tuple[str, str, str], list[_Stretch]]:
    """When a series was not what it was, and then was again: that is no part of what is usual."""
    query = select(MonitorAnomaly).where(
        col(MonitorAnomaly.series).in_({each.named.digest for each in changes}),
        MonitorAnomaly.kind != ChangeKind.SPIKE.value,
        MonitorAnomaly.state == AnomalyState.BACK.value,
        col(MonitorAnomaly.ended_at) >= min(each.since for each in changes) - BEFORE,
    )
    found: dict[tuple[str, str, str], list[_Stretch]] = defaultdict(list)
    async with database.session(all_tenants=True) as session:
        for row in (await session.exec(query)).all():
            found[row.tenant, row.series, row.metric].append((row.since, row.ended_at or row.since))
    return found


def _weighed(
    changes: Sequence[Told], points: Sequence[Point], apart: dict[tuple[str, str, str], list[_Stretch]], usual: Usual
) -> dict[Told, Told]:
    """Where too little was called the day before, what the detector says stands."""
    by_series: dict[str, list[Point]] = {each.named.digest: [] for each in changes}
    for point in points:
        if (beside := by_series.get(point.named.digest)) is not None:
            beside.append(point)
    found: dict[Told, Told] = {}
    for each in changes:
        begin = each.at - (each.at - each.since) / _THIRDS if each.change.kind is ChangeKind.RAMP else each.since
        before, after = [], []
        for point in by_series[each.named.digest]:
            if each.tenant not in (ALL, point.tenant):
                continue
            if begin <= point.at <= each.at:
                after.append(point)
            elif each.since - BEFORE <= point.at < each.since and not _within(apart[each.series], point.at):
                before.append(point)
        was, now = _level(each, before, usual), _level(each, after, usual)
        if was is not None and now is not None and was.calls >= LEAST_CALLS:
            season = 0.0 if was.usual is None or now.usual is None else now.usual - was.usual
            found[each] = replace(each, change=replace(each.change, before=was.seen + season, after=now.seen))
    return found


def _within(stretches: Sequence[_Stretch], at: datetime) -> bool:
    return any(begin <= at < end for begin, end in stretches)


def _level(each: Told, points: Sequence[Point], usual: Usual) -> _Level | None:
    together, expected, known = Sums(), 0.0, True
    for point in points:
        together = together.plus(point.sums)
        if (own := each.metric.measured(point.sums)) is not None:
            at_the_time = usual(each, point.at) if known else None
            known = at_the_time is not None
            expected += own[1] * (at_the_time or 0.0)
    if (found := each.metric.measured(together)) is None:
        return None
    value, calls = found
    return _Level(each.metric.seen(value), calls, expected / calls if known else None)
