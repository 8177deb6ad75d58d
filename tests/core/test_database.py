"""The database on SQLite and PostgreSQL: migrations, times, transactions."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.engine import Connection
from sqlalchemy.exc import StatementError
from sqlmodel import SQLModel, func, select

from core.database import Database, migrate
from core.settings import Settings
from core.tables import Job


async def test_times_come_back_aware_and_in_utc(database: Database) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    async with database.transaction() as session:
        session.add(Job(id="job_1", owner="o", kind="k", started_at=moment))
    async with database.session() as session:
        job = await session.get_one(Job, "job_1")
    assert job.started_at == moment
    assert job.started_at.tzinfo is not None
    assert job.finished_at is None


async def test_a_naive_time_is_refused(database: Database) -> None:
    with pytest.raises((ValueError, StatementError), match="without a time zone"):
        async with database.transaction() as session:
            session.add(Job(owner="o", kind="k", started_at=datetime(2026, 1, 1)))  # noqa: DTZ001 - the point of the test


async def test_a_block_that_raises_leaves_nothing(database: Database) -> None:
    async def write_and_fail() -> None:
        async with database.transaction() as session:
            session.add(Job(owner="o", kind="k"))
            await session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await write_and_fail()
    async with database.session() as session:
        assert (await session.exec(select(func.count()).select_from(Job))).one() == 0


async def test_concurrent_writers_wait_for_each_other(database: Database) -> None:
    async with database.transaction() as session:
        session.add(Job(id="job_1", owner="o", kind="k"))

    async def count_up() -> None:
        async with database.transaction() as session:
            job = (await session.exec(select(Job).where(Job.id == "job_1").with_for_update())).one()
            job.done += 1
            session.add(job)

    await asyncio.gather(*(count_up() for _ in range(20)))
    async with database.session() as session:
        assert (await session.get_one(Job, "job_1")).done == 20


def test_several_processes_may_migrate_at_once(settings: Settings) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(migrate, settings) for _ in range(4)]
    assert [result.result() for result in results] == [None] * 4


async def test_the_migrations_make_what_the_tables_say(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), SQLModel.metadata))

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
