"""Writes events to a tenant's chain, each in a transaction of its own: `writer_process DATA_DIR DATABASE_URL TENANT EVENTS`."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from core import audit
from core.database import Database
from core.principals import SYSTEM
from core.settings import Settings


async def main(data_dir: str, database_url: str, tenant: str, events: str) -> None:
    database = Database(Settings.load(data_dir=Path(data_dir), database_url=database_url or None))
    try:
        for number in range(int(events)):
            async with database.transaction(all_tenants=True) as session:
                who = replace(SYSTEM, tenant=tenant)
                await audit.record(session, audit.Action.KEY_CREATED, on=("key", f"key_{number}"), principal=who)
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
