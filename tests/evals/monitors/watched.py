"""Calls of some days in the ledger, and what watches them."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import select

from core.database import Database, utc_now
from core.ledger import Entry, TokenClasses
from core.settings import Settings
from core.tables import LedgerRow, MonitorAnomaly
from evals.monitors.degradations import DegradationMonitor
from evals.monitors.points import Named, floor_of
from evals.monitors.watching import Watch

POINT_S = 300
POINT = timedelta(seconds=POINT_S)
FIRST = Named("default", "openai", "gpt", "v1")
SECOND = Named("default", "openai", "gpt", "v2")
OTHER = Named("default", "azure", "gpt", "v1")
SETTINGS: dict[str, Any] = {"point_s": POINT_S, "learn_days": 2.5, "late_s": 0}

#: What a call of a series is like, so many points before now.
Course = Callable[[int], dict[str, Any]]


def usual(_ago: int) -> dict[str, Any]:
    return {}


class Watched:
    """A ledger whose calls are made up, and a monitor that looks at it."""

    def __init__(self, database: Database, *, tenant: str = "acme", at_eight: bool = False, **more: Any) -> None:
        self.database, self.tenant = database, tenant
        base = Settings.model_validate(database._settings.model_dump() | {"monitors": SETTINGS | more})
        self.settings = base
        self.now = floor_of(utc_now(), POINT_S)
        if at_eight:  # when it last was: at every hour of the day the same calls meet another season
            self.now = floor_of(utc_now() - timedelta(hours=8), 86_400) + timedelta(hours=8)
        self.watch = Watch(database, base.monitors)
        self.monitor = DegradationMonitor(database, base)

    async def call(self, courses: dict[Named, Course], *, points: int = 600, calls: int = 2, tenant: str | None = None) -> None:
        """Two calls a point of each series, over `points`."""
        chance = random.Random(7)
        rows = []
        for ago in range(points, 0, -1):
            for named, course in courses.items():
                for number in range(calls):
                    told: dict[str, Any] = {
                        "request_id": f"req_{ago}_{number}",
                        "tenant": tenant or self.tenant,
                        "principal": "usr_1",
                        "status": "ok",
                        "capability": "chat",
                        "tokens": TokenClasses(input=100, output=50),
                        "latency_ms": 400 * chance.lognormvariate(0, 0.2),
                        **named._asdict(),
                    }
                    more = course(ago)
                    told["latency_ms"] *= more.pop("slower", 1)
                    rows.append(Entry(**told | more, at=self.now - ago * POINT + timedelta(seconds=number)).row())
        async with self.database.transaction(all_tenants=True) as session:
            await (await session.connection()).execute(LedgerRow.__table__.insert(), rows)  # type: ignore[attr-defined]

    async def anomalies(self, tenant: str = "*") -> list[MonitorAnomaly]:
        async with self.database.session(all_tenants=True) as session:
            query = select(MonitorAnomaly).where(MonitorAnomaly.tenant == tenant).order_by(MonitorAnomaly.since)  # type: ignore[arg-type]
            return list((await session.exec(query)).all())

    def ago(self, points: int) -> datetime:
        return self.now - points * POINT


def slower_since(begin: int, times: float = 2.5, until: int = 0) -> Course:
    """So many times slower from `begin` points before now on."""
    return lambda ago: {"slower": times} if until < ago <= begin else {}
