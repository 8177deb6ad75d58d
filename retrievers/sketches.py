"""What is asked of collections, in numbers that hold no question: how many were near which of some fixed directions of meaning,
and how near the best passage was. Counted in memory, and added to the hour's row now and then."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.database import Database, utc_now
from core.tables import MonitorSketch

log = structlog.get_logger()

#: Directions of meaning that questions are told apart by, and classes of how near a passage was, from 0 to 1.
DIRECTIONS: Final = 16
CLASSES: Final = 20
_EVERY_S: Final = 30.0
#: Rows that wait at most; further collections are not counted while the database is away.
_MOST: Final = 5000
_SKETCH: Any = MonitorSketch.__table__.c  # type: ignore[attr-defined]


class Asked(NamedTuple):
    """The questions to one collection within an hour, as `model` has embedded them."""

    tenant: str
    collection_id: str
    model: str
    at: datetime


class Counts(NamedTuple):
    """By direction, and by how near the best passage was."""

    topics: list[int]
    nearness: list[int]


class Sketches:
    """Those of a process. Thread-safe. `keeps` says whether anything of a tenant's requests may be kept."""

    def __init__(self, keeps: Callable[[str], bool] = lambda _tenant: True) -> None:
        self._keeps = keeps
        self._lock = threading.Lock()
        self._counts: dict[Asked, Counts] = defaultdict(_nothing)

    def note(self, tenant: str, collection_id: str, model: str, vector: NDArray[np.float32], nearest: float | None) -> None:
        """Count a question. `nearest` is the cosine of the best passage, None where there was none."""
        if not self._keeps(tenant):
            return
        asked = Asked(tenant, collection_id, model, utc_now().replace(minute=0, second=0, microsecond=0))
        direction = int(np.argmax(_directions(len(vector)) @ vector))
        near = min(CLASSES - 1, max(0, int((nearest or 0.0) * CLASSES)))
        with self._lock:
            if asked in self._counts or len(self._counts) < _MOST:
                counts = self._counts[asked]
                counts.topics[direction] += 1
                counts.nearness[near] += 1

    def taken(self) -> dict[Asked, Counts]:
        """What was counted since it was last taken."""
        with self._lock:
            found = dict(self._counts)
            self._counts.clear()
        return found

    def put_back(self, counts: dict[Asked, Counts]) -> None:
        """Count what could not be written once more."""
        with self._lock:
            for asked, each in counts.items():
                self._counts[asked] = _sum(self._counts[asked], each)

    async def write(self, database: Database) -> int:
        """Add what was counted to the rows of its hours; how many rows."""
        taken = self.taken()
        if not taken:
            return 0
        try:
            async with database.transaction(all_tenants=True) as session:
                connection = await session.connection()
                insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
                for asked, counts in sorted(taken.items()):
                    nothing = {"questions": 0, **_nothing()._asdict()}
                    await connection.execute(
                        insert(MonitorSketch).values(**asked._asdict(), **nothing).on_conflict_do_nothing()
                    )
                    this = [_SKETCH[name] == value for name, value in asked._asdict().items()]
                    row = (
                        await connection.execute(select(_SKETCH.topics, _SKETCH.nearness).where(*this).with_for_update())
                    ).one()
                    both = _sum(Counts(row.topics, row.nearness), counts)
                    more = {"questions": sum(both.topics), "topics": both.topics, "nearness": both.nearness}
                    await connection.execute(update(MonitorSketch).where(*this).values(**more))
        except BaseException:
            self.put_back(taken)
            raise
        return len(taken)

    async def run(self, database: Database) -> None:
        """Write now and then, and what is left at the end."""
        failing = False
        while True:
            try:
                await asyncio.sleep(_EVERY_S)
            except asyncio.CancelledError:
                await self.write(database)
                raise
            try:
                await self.write(database)
                failing = False
            except Exception:  # the boundary of a task that must never end
                if not failing:
                    log.warning("sketches.failing", exc_info=True)
                failing = True


def _nothing() -> Counts:
    return Counts([0] * DIRECTIONS, [0] * CLASSES)


def _sum(one: Counts, other: Counts) -> Counts:
    added = [[a + b for a, b in zip(first, second, strict=True)] for first, second in zip(one, other, strict=True)]
    return Counts(*added)


@lru_cache(maxsize=16)
def _directions(dimensions: int) -> NDArray[np.float32]:
    """The same in every process, (DIRECTIONS, dimensions) float32."""
    return np.random.default_rng(dimensions).standard_normal((DIRECTIONS, dimensions)).astype(np.float32)
