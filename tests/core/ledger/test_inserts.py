"""Rows that go to a real database in one statement, by name or not, over a connection that may have been closed."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import select

from core.database import Database, blocking_engine
from core.ledger.inserts import Inserts, RowsRefused
from core.tables import Exposure, LedgerRow
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


async def test_an_exposure_is_there_once_with_its_first_time_however_its_calls_arrive(database: Database) -> None:
    inserts = Inserts(database._settings)
    times = [datetime(2026, 1, 2, 3, minute, tzinfo=UTC) for minute in range(4)]

    def called(number: int, exposure: str | None) -> dict[str, Any]:
        return entry(f"req_{number}", exposure=exposure, at=times[number]).row()

    late, early = called(2, "exp_1/1/ab"), called(0, "exp_1/1/ab")
    await asyncio.to_thread(inserts.add, [late, called(1, None), called(3, "exp_1/0/cd")])
    await asyncio.to_thread(inserts.add, [early, late])
    await asyncio.to_thread(inserts.close)
    async with database.session("acme") as session:
        rows = (await session.exec(select(Exposure).order_by(Exposure.id))).all()
        marked = (await session.exec(select(LedgerRow.exposure).order_by(LedgerRow.request_id))).all()
    assert [(row.experiment_id, row.variant, row.unit, row.first_at) for row in rows] == [
        ("exp_1", 0, "cd", times[3]),
        ("exp_1", 1, "ab", times[0]),
    ]
    assert marked == ["exp_1/1/ab", None, "exp_1/1/ab", "exp_1/0/cd"]
