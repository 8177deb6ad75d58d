"""Patterns of use: when, what for, by whom, and which groups of questions are asked of collections."""

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlmodel import col, func, select

from core.database import Database
from core.errors import InvalidRequest
from core.tables import MonitorSketch, UsageHour

#: Lines of a list at most.
_MOST: Final = 200
LONGEST: Final = timedelta(days=92)


@dataclass(slots=True)
class Patterns:
    """Calls by weekday (Monday is 0) and hour of the day in UTC, by capability, and by tenant where all are asked for;
    questions by collection and group. Groups have numbers and no names: what was asked is not kept."""

    week: list[list[int]] = field(default_factory=lambda: [[0] * 24 for _ in range(7)])
    capabilities: Counter[str] = field(default_factory=Counter)
    tenants: Counter[str] = field(default_factory=Counter)
    topics: dict[str, list[int]] = field(default_factory=dict)


async def patterns(
    database: Database, tenant: str | None, since: datetime, until: datetime, *, only: Container[str] | None = None
) -> Patterns:
    """What was done from `since` on and before `until`, in whole hours that are counted. `tenant` None: by all of them. `only`:
    topics of these collections alone.

    Raises:
        InvalidRequest: `invalid_range`, that is too long.
    """
    if until - since > LONGEST:
        raise InvalidRequest(f"`to` may be {LONGEST.days} days after `from` at most.", code="invalid_range", param="to")
    found = Patterns()
    calls: Any = func.sum(UsageHour.entries)
    query: Any = select(UsageHour.tenant, UsageHour.hour, UsageHour.capability, calls)
    query = query.where(UsageHour.hour >= since, UsageHour.hour < until)
    query = query.group_by(UsageHour.tenant, UsageHour.hour, UsageHour.capability)
    asked = select(MonitorSketch.collection_id, MonitorSketch.topics).where(MonitorSketch.at >= since, MonitorSketch.at < until)
    async with database.session(tenant, all_tenants=tenant is None) as session:
        for whose, hour, capability, number in (await session.exec(query)).all():
            found.week[hour.weekday()][hour.hour] += int(number)
            found.capabilities[capability] += int(number)
            found.tenants[whose] += int(number)
        for collection, topics in (await session.exec(asked.order_by(col(MonitorSketch.collection_id)))).all():
            if only is not None and collection not in only:
                continue
            before = found.topics.get(collection, [0] * len(topics))
            found.topics[collection] = [one + other for one, other in zip(before, topics, strict=True)]
    most = sorted(found.topics.items(), key=lambda each: (-sum(each[1]), each[0]))[:_MOST]
    found.topics = dict(most)
    return found
