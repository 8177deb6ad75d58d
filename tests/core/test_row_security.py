"""PostgreSQL itself keeps tenants apart, for the role that owns the tables too: whatever statement comes past the sessions."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlmodel import SQLModel

from core import row_security
from core.database import Database, migrate
from core.settings import Settings
from core.tenancy import SETTING, SHARED
from infra.postgresql import ROLE, database_of_platform

SEED = """
SELECT set_config('genai.tenant', '*', true);
INSERT INTO jobs (id, tenant, owner, principal, kind, state, arguments, done, total, failed, errors, created_at)
SELECT 'job_' || t, t, 'x', '{}', 'ingestion', 'queued', '{}', 0, 0, 0, '[]', now() FROM unnest(ARRAY['here', 'there']) t;
INSERT INTO job_events (job_id, number, event, data, created_at) SELECT id, 1, 'progress', '{}', now() FROM jobs;
"""


@pytest.fixture
def connection(postgresql: Any, migrated: Callable[[str, Any], Settings], tmp_path: Path) -> Iterator[Connection]:
    """As the platform's ordinary role, which owns the tables."""
    migrated("postgresql", postgresql)
    url = database_of_platform(postgresql, f"rows_{abs(hash(str(tmp_path))):x}", template="migrated")
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as opened:
        opened.execute(text(SEED))
        opened.commit()
        yield opened
    engine.dispose()


def seen(connection: Connection, tenant: str | None) -> tuple[list[str], list[str]]:
    if tenant is not None:
        connection.execute(text("SELECT set_config(:name, :tenant, true)"), {"name": SETTING, "tenant": tenant})
    jobs = connection.execute(text("SELECT tenant FROM jobs ORDER BY 1")).scalars().all()
    events = connection.execute(text("SELECT job_id FROM job_events ORDER BY 1")).scalars().all()
    connection.rollback()
    return list(jobs), list(events)


def test_a_transaction_sees_the_tenant_that_it_has_named(connection: Connection) -> None:
    assert connection.execute(text("SELECT current_user")).scalar() == ROLE
    assert seen(connection, "here") == (["here"], ["job_here"])
    assert seen(connection, "*") == (["here", "there"], ["job_here", "job_there"])


def test_one_that_names_none_sees_nothing_also_after_another_has(connection: Connection) -> None:
    assert seen(connection, None) == ([], [])
    seen(connection, "here")
    assert seen(connection, None) == ([], [])
    assert seen(connection, "") == ([], [])


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO teams (id, tenant, name, created_at) VALUES ('x', 'there', 'x', now())",
        "UPDATE jobs SET tenant = 'there'",
        "INSERT INTO job_events (job_id, number, event, data, created_at) VALUES ('job_there', 2, 'x', '{}', now())",
        "UPDATE job_events SET job_id = 'job_there', number = 9",
    ],
)
def test_a_row_of_another_tenant_is_not_written(connection: Connection, statement: str) -> None:
    connection.execute(text("SELECT set_config('genai.tenant', 'here', true)"))
    with pytest.raises(ProgrammingError, match="row-level security"):
        connection.execute(text(statement))


def test_an_update_and_a_delete_reach_no_other_tenant(connection: Connection) -> None:
    connection.execute(text("SELECT set_config('genai.tenant', 'here', true)"))
    assert connection.execute(text("DELETE FROM job_events")).rowcount == 1
    assert connection.execute(text("UPDATE jobs SET kind = 'x'")).rowcount == 1
    connection.commit()
    assert seen(connection, "there") == (["there"], ["job_there"])


def test_every_table_of_tenants_has_the_policy_and_a_new_one_gets_it(connection: Connection) -> None:
    held = set(connection.execute(text("SELECT tablename FROM pg_policies")).scalars())
    assert held == {table.name for table in SQLModel.metadata.sorted_tables} - SHARED
    connection.execute(text("DROP POLICY of_the_tenant ON jobs"))
    connection.execute(text("ALTER TABLE job_events NO FORCE ROW LEVEL SECURITY"))
    connection.execute(text("DROP POLICY of_the_tenant ON documents"))
    connection.execute(text("CREATE POLICY of_the_tenant ON documents USING (true)"))
    row_security.hold(connection)
    connection.commit()
    assert seen(connection, "here") == (["here"], ["job_here"])
    written = connection.execute(text("SELECT qual FROM pg_policies WHERE tablename = 'documents'")).scalar()
    assert "genai.tenant" in str(written)


def test_a_role_that_passes_it_by_is_told_of(postgresql: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name = f"super_{abs(hash(str(tmp_path))):x}"
    postgresql.psql(f"CREATE DATABASE {name};")
    migrate(Settings.load(data_dir=tmp_path, database_url=postgresql.get_uri(database=name)))
    assert "database.role_passes_row_security" in "".join(capfd.readouterr())


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("name", ["a'; SET genai.tenant = '*", "50%", "%s", "back\\slash", 'double"'])
async def test_a_tenant_of_any_name_is_told_to_the_database_as_it_is(database: Database, name: str) -> None:
    async with database.session(name) as session:
        connection = await session.connection()
        assert (await connection.exec_driver_sql("SELECT current_setting('genai.tenant')")).scalar() == name
