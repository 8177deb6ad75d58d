"""How every process learns that a right was taken away: a number in the database, raised with it and watched by all.

Redis plays no part: with it away, a revoked key is refused as soon.
"""

import asyncio
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import Database
from core.tables import AccessEpoch

log = structlog.get_logger()

#: Seconds between two looks: with a look's own time, a right is gone everywhere within a second.
LOOK_S = 0.4


async def raise_epoch(session: AsyncSession) -> None:
    """Have every process ask the database anew for everybody, once the transaction is committed."""
    await session.exec(update(AccessEpoch).where(col(AccessEpoch.id) == 1).values(value=AccessEpoch.value + 1))


async def watch(database: Database, forget: Callable[[], None]) -> None:
    """Call `forget` whenever a right was taken away, by any process, until cancelled.

    While the database does not answer nothing can be taken away there, so what is known stays believed until it is too old;
    once it answers again, everybody is asked for anew.
    """
    known, away = None, False
    while True:
        try:
            async with database.session(all_tenants=True) as session, asyncio.timeout(2):
                value = (await session.exec(select(AccessEpoch.value).where(AccessEpoch.id == 1))).first()
        except (SQLAlchemyError, TimeoutError, OSError) as error:
            if not away:
                log.warning("access.database_away", error=type(error).__name__)
            away = True
        else:
            if away:
                log.info("access.database_back")
            if away or value != known:
                forget()
            known, away = value, False
        await asyncio.sleep(LOOK_S)
