"""Backups on record: whoever can take one reads names and numbers of all tenants, and with the keys everything."""

import asyncio
from collections.abc import Mapping

from core import audit
from core.database import Database
from core.principals import SYSTEM
from core.settings import Settings


def on_record(settings: Settings, action: audit.Action, backup_id: str, details: Mapping[str, audit.Detail]) -> None:
    """Put it on the operator's record. Blocking; for a process without an event loop."""

    async def record() -> None:
        database = Database(settings)
        try:
            async with database.transaction(all_tenants=True) as session:
                await audit.record(session, action, on=("backup", backup_id), details=details, principal=SYSTEM)
        finally:
            await database.close()

    asyncio.run(record())
