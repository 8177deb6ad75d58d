"""How every process learns of a change that must hold at once: a number in the database, raised with it and watched by all.

Rights that are taken away, policies, kill switches and credentials of providers go by it. Redis plays no part: with it away, a
revoked key is refused as soon.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import Database
from core.tables import AccessEpoch

log = structlog.get_logger()

#: Seconds between two looks: with a look's own time, a change holds everywhere within a second.
LOOK_S = 0.4
#: Seconds that a look, or one of those who are told, may take.
PATIENCE_S = 2.0

#: Reads anew, from the database, what it holds in memory. May be called at any time.
Heed = Callable[[Database], Awaitable[None]]


async def raise_epoch(session: AsyncSession) -> None:
    """Have every process read anew what it goes by, once the transaction is committed."""
    await session.exec(update(AccessEpoch).where(col(AccessEpoch.id) == 1).values(value=AccessEpoch.value + 1))


class Watcher:
    """One for a process: tells, in this order, whoever has something in memory that must not grow old."""

    def __init__(self, *heeds: Heed) -> None:
        self._heeds = list(heeds)
        self._watched = False
        #: When the database was last heard (`time.monotonic`); None where it never was.
        self.heard_at: float | None = None

    def add(self, heed: Heed) -> None:
        """Tell it too, before the others."""
        self._heeds.insert(0, heed)

    async def load(self, database: Database) -> None:
        """Have all read now, unless somebody keeps them up to date already."""
        if not self._watched:
            await self.tell(database)

    async def tell(self, database: Database) -> None:
        """Have all read now: something was changed here."""
        for heed in self._heeds:
            await heed(database)

    async def run(self, database: Database) -> None:
        """Tell all whenever any process changes something, until cancelled; a second run ends at once.

        While the database does not answer nothing can be changed there, so what is known stays believed; once it answers again,
        everything is read anew.
        """
        if self._watched:
            return
        self._watched = True
        try:
            await self._run(database)
        finally:
            self._watched = False

    async def _run(self, database: Database) -> None:
        known, behind, away = 0, True, False
        while True:
            value = await self._look(database, away=away)
            if value is None:
                behind = away = True
            else:
                if away:
                    log.info("changes.database_back")
                if behind or value != known:
                    behind = not await self._tell(database)
                known, away = value, False
            await asyncio.sleep(LOOK_S)

    async def _look(self, database: Database, *, away: bool) -> int | None:
        """The number; None where the database does not answer."""
        try:
            async with asyncio.timeout(PATIENCE_S), database.session(all_tenants=True) as session:
                value = (await session.exec(select(AccessEpoch.value).where(AccessEpoch.id == 1))).first() or 0
        except (SQLAlchemyError, TimeoutError, OSError) as error:
            if not away:
                log.warning("changes.database_away", error=type(error).__name__)
            return None
        except Exception:  # the boundary of a task that must never end
            if not away:
                log.exception("changes.not_looked_at")
            return None
        self.heard_at = time.monotonic()
        return value

    async def _tell(self, database: Database) -> bool:
        """Whether all have read. What one of them fails at keeps no other from reading, and is tried again."""
        well = True
        for heed in self._heeds:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await heed(database)
            except Exception:  # the boundary of a task that must never end
                log.exception("changes.not_read")
                well = False
        return well
