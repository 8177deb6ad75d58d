"""Rows that go to a real database in one statement, by name or not, over a connection that may have been closed."""

import asyncio

import pytest
from sqlalchemy import text
from sqlmodel import select

from core.database import Database, blocking_engine
from core.ledger.inserts import Inserts, RowsRefused
from core.tables import LedgerRow
from tests.core.ledger.test_writer import entry


async def requests(database: Database) -> list[str]:
    async with database.session("acme") as session:
        return list((await session.exec(select(LedgerRow.request_id).order_by(LedgerRow.request_id))).all())


@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
async def test_rows_are_added_once_with_statements_that_have_names_or_have_none(database: Database, named: bool) -> None:
    settings = database._settings
    chosen = settings.database.model_copy(update={"prepared_statements": named})
    inserts = Inserts(settings.model_copy(update={"database": chosen}))
    rows = [entry(f"req_{number}").row() for number in range(3)]
    await asyncio.to_thread(inserts.add, rows[:2])
    await asyncio.to_thread(inserts.add, rows[1:])
    with pytest.raises(RowsRefused):
        await asyncio.to_thread(inserts.add, [entry("req_8").row(), entry("req_9", request_id=None).row()])
    await asyncio.to_thread(inserts.add, [entry("req_3").row()])
    await asyncio.to_thread(inserts.close)
    assert await requests(database) == ["req_0", "req_1", "req_2", "req_3"]


async def test_a_connection_that_the_server_has_closed_is_opened_again(database: Database) -> None:
    inserts = Inserts(database._settings)
    await asyncio.to_thread(inserts.add, [entry("req_1").row()])
    if not database.is_sqlite:
        engine = blocking_engine(database._settings)
        with engine.connect() as connection:
            ended = text("SELECT pg_terminate_backend(:pid, 10000)")
            pid = inserts._connection.driver_connection.info.backend_pid
            assert connection.execute(ended, {"pid": pid}).scalar()
        engine.dispose()
    await asyncio.to_thread(inserts.add, [entry("req_2").row()])
    await asyncio.to_thread(inserts.close)
    assert await requests(database) == ["req_1", "req_2"]
