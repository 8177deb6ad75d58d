"""The database on SQLite and PostgreSQL: migrations, times, transactions."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import StatementError
from sqlmodel import SQLModel, func, select

from core.database import MIGRATIONS, Database, migrate, sync_url
from core.principals import Principal, Scope
from core.settings import Settings
from core.tables import Job


async def test_times_come_back_aware_and_in_utc(database: Database) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    async with database.transaction(all_tenants=True) as session:
        session.add(Job(id="job_1", owner="o", kind="k", started_at=moment))
    async with database.session(all_tenants=True) as session:
        job = await session.get_one(Job, "job_1")
    assert job.started_at == moment
    assert job.started_at.tzinfo is not None
    assert job.finished_at is None


async def test_a_naive_time_is_refused(database: Database) -> None:
    with pytest.raises((ValueError, StatementError), match="without a time zone"):
        async with database.transaction(all_tenants=True) as session:
            session.add(Job(owner="o", kind="k", started_at=datetime(2026, 1, 1)))  # noqa: DTZ001 - the point of the test


async def test_a_block_that_raises_leaves_nothing(database: Database) -> None:
    async def write_and_fail() -> None:
        async with database.transaction(all_tenants=True) as session:
            session.add(Job(owner="o", kind="k"))
            await session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await write_and_fail()
    async with database.session(all_tenants=True) as session:
        assert (await session.exec(select(func.count()).select_from(Job))).one() == 0


async def test_concurrent_writers_wait_for_each_other(database: Database) -> None:
    async with database.transaction(all_tenants=True) as session:
        session.add(Job(id="job_1", owner="o", kind="k"))

    async def count_up() -> None:
        async with database.transaction(all_tenants=True) as session:
            job = (await session.exec(select(Job).where(Job.id == "job_1").with_for_update())).one()
            job.done += 1
            session.add(job)

    await asyncio.gather(*(count_up() for _ in range(20)))
    async with database.session(all_tenants=True) as session:
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


def test_what_refers_to_a_table_survives_that_the_table_is_changed(settings: Settings) -> None:
    engine = create_engine(sync_url(settings))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        at = "2026-01-01 00:00:00"
        for statement in (
            f"INSERT INTO api_keys VALUES ('key_1', 'default', 'x', 'admin', 'd', '', '{at}', NULL, NULL, NULL)",
            f"INSERT INTO browser_sessions VALUES ('s', 'key_1', '{at}', '{at}')",
            "INSERT INTO jobs (id, tenant, owner, kind, state, done, total, failed, skipped, errors, arguments, created_at)"
            f" VALUES ('job_1', 'default', 'key_1', 'batch', 'queued', 0, 0, 0, 0, '[]', '{{}}', '{at}')",
            "INSERT INTO batches (id, tenant, owner, role, scopes, endpoint, state, job_id, input_file_id, total, answered,"
            " failed, labels, errors, created_at, expires_at)"
            " VALUES ('batch_1', 'default', 'key_1', 'user', '[\"chat:invoke\"]',"
            f" '/v1/chat/completions', 'in_progress', 'job_1', 'file_1', 1, 0, 0, '{{}}', '[]', '{at}', '{at}')",
            "INSERT INTO batch_rows VALUES ('batch_1', 1, 'a', 0, 10, 'pending', 0, NULL)",
            "INSERT INTO collections (id, tenant, name, description, settings, created_at, updated_at)"
            f" VALUES ('col_1', 'default', 'papers', '', '{{}}', '{at}', '{at}')",
        ):
            connection.execute(text(statement))
    engine.dispose()
    migrate(settings)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM browser_sessions")).scalar() == 1
        assert connection.execute(text("SELECT count(*) FROM batch_rows")).scalar() == 1
        kept = json.loads(str(connection.execute(text("SELECT principal FROM batches")).scalar()))
        assert Principal.from_job(kept).scopes == {Scope.CHAT_INVOKE}
        shared = connection.execute(text("SELECT collection_id, kind, subject, access FROM collection_shares")).all()
        assert shared == [("col_1", "tenant", "", "write")]  # as it was: everybody of the tenant could
    engine.dispose()


def test_adjusting_entries_of_before_learn_what_they_are_told_apart_by(settings: Settings) -> None:
    engine = create_engine(sync_url(settings))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0024")
        at, numbers = "2026-01-01 00:00:00", ", 0" * 8
        classes = ["input", "cached", "cache_write", "cache_write_1h", "output", "reasoning", "input_audio", "output_audio"]
        adjusting = "INSERT INTO ledger_adjustments (id, tenant, at, cost_usd, reason, entry, principal, alias, provider,"
        adjusting = f"{adjusting} model, capability, tags, created_by, created_at) VALUES"
        for statement in (
            f"INSERT INTO ledger (id, at, request_id, tenant, principal, teams, alias, provider, model, capability, tags,"
            f" status, estimated, price_basis, price_source, latency_ms, {', '.join(f'{name}_tokens' for name in classes)})"
            f" VALUES ('led_1', '{at}', 'r', 'default', 'usr_1', 'team_x', 'a', 'p', 'm', 'chat', '{{}}', 'ok', 0, 'exact',"
            f" 'settings', 1.0{numbers})",
            f"INSERT INTO users (id, tenant, kind, name, role, created_at)"
            f" VALUES ('usr_1', 'default', 'person', 'Ada', 'user', '{at}')",
            f"INSERT INTO teams (id, tenant, name, created_at) VALUES ('team_y', 'default', 'y', '{at}')",
            "INSERT INTO team_members (team_id, user_id) VALUES ('team_y', 'usr_1')",
            *(
                f"{adjusting} ('{name}', 'default', '{at}', 1, '', {entry}, 'usr_1', '', '', '', '', '{{}}', '', '{at}')"
                for name, entry in (("adj_1", "'led_1'"), ("adj_2", "NULL"))
            ),
        ):
            connection.execute(text(statement))
    engine.dispose()
    migrate(settings)
    with engine.connect() as connection:
        told = connection.execute(text("SELECT teams, entry_at IS NULL FROM ledger_adjustments ORDER BY id")).all()
    assert [tuple(each) for each in told] == [("team_x", 0), ("team_y", 1)]
