"""Row-level security in PostgreSQL: what `core.tenancy` asks for is held by the database as well.

Each transaction says whose rows it may touch (`set_config('genai.tenant', …, true)`); one that says nothing sees none. The
policies are forced, so that they hold for the tables' owner too. A superuser, or a role with BYPASSRLS, passes them by.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import Connection, Table, inspect, text
from sqlmodel import SQLModel

from core.tenancy import ALL, SETTING, SHARED, THROUGH, own_column

log = structlog.get_logger()

_POLICY = "of_the_tenant"
_NOW = f"current_setting('{SETTING}', true)"
_HELD = text(
    "SELECT c.relname, obj_description(p.oid, 'pg_policy') AS written FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid "
    "WHERE p.polname = :policy AND c.relrowsecurity AND c.relforcerowsecurity "
    "AND c.relnamespace = current_schema()::regnamespace"
)
_TELL = text("SELECT set_config(:name, :tenant, true)")
_PASSES_BY = text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")


def see_all(connection: Connection) -> None:
    """Let the connection reach the rows of all tenants, until it is closed. For migrations."""
    connection.execute(text(f"SET {SETTING} = '{ALL}'"))


def see_all_now(connection: Connection) -> None:
    """The same until the transaction ends: behind a pooler, its connection is another's afterwards."""
    connection.execute(text(f"SET LOCAL {SETTING} = '{ALL}'"))


@contextmanager
def across_tenants(connection: Connection) -> Iterator[None]:
    """Let a transaction reach the rows of all tenants within the block, and its own alone after it. For what the platform keeps
    of itself while it works for a tenant."""
    if connection.dialect.name != "postgresql":
        yield
        return
    before = connection.exec_driver_sql(f"SELECT {_NOW}").scalar() or ""
    connection.execute(_TELL, {"name": SETTING, "tenant": ALL})
    yield
    connection.execute(_TELL, {"name": SETTING, "tenant": before})


def hold(connection: Connection) -> None:
    """Put the policy on every table that belongs to tenants and has none, or another one. May be repeated; not committed."""
    import core.tables  # noqa: F401 - registers every table, and imports the column types of core.database

    there = set(inspect(connection).get_table_names())
    held = {row.relname: row.written for row in connection.execute(_HELD, {"policy": _POLICY})}
    for table in SQLModel.metadata.sorted_tables:
        if table.name in SHARED or table.name not in there:  # at an earlier migration not all are there
            continue
        condition = f"({_NOW} = '{ALL}' OR {condition_of(table)})"
        if held.get(table.name) != condition:
            written = condition.replace("'", "''")
            for statement in (
                f"DROP POLICY IF EXISTS {_POLICY} ON {table.name}",
                f"CREATE POLICY {_POLICY} ON {table.name} USING {condition} WITH CHECK {condition}",
                f"COMMENT ON POLICY {_POLICY} ON {table.name} IS '{written}'",
                f"ALTER TABLE {table.name} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            ):
                connection.execute(text(statement))
    if connection.execute(_PASSES_BY).scalar():
        log.warning("database.role_passes_row_security", hint="connect as a role that is no superuser: docs/security.md")


def condition_of(table: Table) -> str:
    """The SQL condition of a row being the current tenant's.

    Raises:
        ValueError: it is not known whose the table's rows are.
    """
    column = own_column(table)
    if column is not None:
        return f"{column} = {_NOW}"
    if table.name not in THROUGH:
        raise ValueError(f"whose are the rows of {table.name}? Give it a column `tenant`, or list it in core.tenancy")
    return " OR ".join(
        f"EXISTS (SELECT 1 FROM {parent} WHERE {parent}.id = {table.name}.{own} AND {parent}.tenant = {_NOW})"  # noqa: S608 - names of ours
        for own, parent in THROUGH[table.name]
    )
