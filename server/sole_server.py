"""Which server has a database whose vectors are its own: as `server.ownership` for directories, once the database is open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from core.database import Database, direct_engine
from core.errors import Conflict
from core.settings import Settings
from retrievers import ONE_PROCESS

#: pg_advisory_lock's number: "gens".
_STORE_LOCK = 0x67656E73


@asynccontextmanager
async def sole_server(settings: Settings, database: Database) -> AsyncIterator[None]:
    """Hold the database for as long as the block, where the vectors of its documents are this process's own: another server's
    would be others. No effect on SQLite, which lies in the data directory, nor with a store that can be shared.

    The lock ends with its connection, so a killed server leaves none behind.

    Raises:
        Conflict: `store_not_shareable`, another server has it.
    """
    if database.is_sqlite or ONE_PROCESS.isdisjoint(settings.retrieval.stores):
        yield
        return
    async with direct_engine(settings).connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        if not (await connection.execute(text("SELECT pg_try_advisory_lock(:n)"), {"n": _STORE_LOCK})).scalar():
            raise Conflict(
                f"Another server uses this database with an embedded store ({_alone(settings)}), which belongs to one "
                "process. Stop that one, or set a store that can be shared.",
                code="store_not_shareable",
            )
        try:
            yield
        finally:
            # before the connection goes: the server notices that only later, and whoever starts next would be refused
            with suppress(SQLAlchemyError):
                await connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": _STORE_LOCK})
            await connection.invalidate()  # the pool would keep it, and the lock with it


def _alone(settings: Settings) -> str:
    return ", ".join(sorted(ONE_PROCESS.intersection(settings.retrieval.stores)))
