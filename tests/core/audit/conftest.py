"""A chain to verify, and somebody who writes to the database behind the platform's back."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, text

from core import audit
from core.audit.verification import Anchor, Finding, snapshot, verify_all
from core.database import SECRET, Database
from core.keys import Hasher
from core.principals import SYSTEM

Verify = Callable[..., Awaitable[dict[str, Finding]]]
Tamper = Callable[..., Awaitable[Any]]
TRIGGERS = (
    *(("audit_events", f"audit_events_{name}") for name in ("no_delete", "no_update", "only_erase")),
    *(("audit_heads", f"audit_heads_{name}") for name in ("no_delete", "only_grow")),
)


async def write(database: Database, events: int = 1, *, tenant: str = "acme", **more: Any) -> None:
    """Events on record, each in its own transaction."""
    for number in range(events):
        async with database.transaction(all_tenants=True) as session:
            who = replace(SYSTEM, id=f"usr_{number}", tenant=tenant)
            await audit.record(session, audit.Action.KEY_CREATED, on=("key", f"key_{number}"), principal=who, **more)


@pytest.fixture
def verified(database: Database) -> Verify:
    """What verification finds, by tenant."""

    async def verify(*anchors: Anchor) -> dict[str, Finding]:
        def find(connection: Connection, hasher: Hasher) -> list[Finding]:
            snapshot(connection)
            return list(verify_all(connection, hasher, anchors))

        async with database.session(all_tenants=True) as session:
            connection = await session.connection()
            return {found.tenant: found for found in await connection.run_sync(find, Hasher(session.info[SECRET]()))}

    return verify


@pytest.fixture
def tamper(database: Database) -> Tamper:
    """`tampered` with the test's database."""
    return partial(tampered, database)


async def tampered(database: Database, *statements: str) -> None:
    """Run statements as one who may do anything in the database, and has taken the triggers away."""
    async with database.transaction(all_tenants=True) as session:
        connection = await session.connection()
        for table, trigger in TRIGGERS:
            on = "" if database.is_sqlite else f" ON {table}"
            await connection.execute(text(f"DROP TRIGGER IF EXISTS {trigger}{on}"))
        for statement in statements:
            await connection.execute(text(statement))
