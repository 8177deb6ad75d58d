"""Databases on PostgreSQL that are lent to tests one after the other: to make a new one and to delete its thousand files takes
a busy core half a second, to empty one that had a few rows some hundredths."""

import uuid
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from infra.postgresql import database_of_platform

#: The name of the database that all are copies of.
TEMPLATE = "migrated"
#: What the platform, or a test, may change beside rows: a database where it has changed is not lent again.
_SHAPE = """
SELECT md5(string_agg(each, E'\\n' ORDER BY each)) FROM (
  SELECT format('%s %s %s %s %s %s', oid, relname, relkind, relacl, relrowsecurity, relforcerowsecurity) AS each
    FROM pg_class WHERE relnamespace = 'public'::regnamespace
  UNION ALL SELECT format('%s %s %s %s', attrelid, attname, atttypid, attnotnull) FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace
  UNION ALL SELECT format('%s %s %s', tgrelid, tgname, tgenabled) FROM pg_trigger
  UNION ALL SELECT format('%s %s %s', polrelid, polname, polroles) FROM pg_policy
  UNION ALL SELECT format('%s %s', oid, prosrc) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
) shape
"""
_TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1"
_COUNTERS = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"
#: Whoever is still connected: a server's thread, a task that nobody waited for.
_CUT_OFF = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
#: What so many rows leave behind would have to be looked through by all later tests.
_MANY_ROWS = 5_000


@dataclass
class _Kept:
    """What is in the template: its tables, the rows of those that have any as JSON, and how far its counters are."""

    tables: list[str]
    rows: dict[str, str]
    counters: dict[str, int | None]


@dataclass
class LentDatabases:
    """Lends databases of the newest schema without a row beyond what a migration puts there."""

    server: Any
    _free: list[str] = field(default_factory=list)
    _lent: dict[str, str] = field(default_factory=dict)
    _first: dict[str, str] = field(default_factory=dict)
    _template: _Kept | None = None

    def lend(self) -> str:
        """The URL of one; to be given back once nothing is connected to it."""
        if not self._free:
            name = f"lent_{uuid.uuid4().hex}"
            self._lent[name] = database_of_platform(self.server, name, template=TEMPLATE)
            with self._connected(name) as connection:
                self._first[name] = _shape(connection)
            return self._lent[name]
        return self._lent[self._free.pop()]

    def take_back(self, url: str) -> None:
        """Empty it, or drop it where more than rows has changed."""
        name = next(name for name, lent in self._lent.items() if lent == url)
        with self._connected(name) as connection:
            connection.execute(_CUT_OFF)
            if _shape(connection) == self._first[name] and self._empty(connection) < _MANY_ROWS:
                self._free.append(name)
                return
        del self._lent[name]
        with self._connected("postgres") as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _empty(self, connection: Any) -> int:
        """How many rows were deleted. Rows and counters of a migration are as in the template afterwards."""
        deleted = 0
        kept = self._kept()
        connection.execute("SET session_replication_role = replica")  # neither foreign keys nor triggers have a say
        filled = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(sql.Literal(name), sql.Identifier(name))
            for name in kept.tables
        )
        for (name,) in connection.execute(filled).fetchall():
            deleted += connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(name))).rowcount
        for name, rows in kept.rows.items():
            statement = "INSERT INTO {0} OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_recordset(NULL::{0}, %s)"
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)), [rows])
        for name, value in connection.execute(_COUNTERS).fetchall():
            if value != kept.counters[name]:
                at = kept.counters[name]
                connection.execute("SELECT setval(%s::regclass, %s, %s)", [name, at or 1, at is not None])
        return deleted

    def _kept(self) -> "_Kept":
        if self._template is None:
            with self._connected(TEMPLATE) as connection:
                tables = [name for (name,) in connection.execute(_TABLES)]
                read = sql.SQL("SELECT json_agg(row_to_json(its_row))::text FROM {} AS its_row")
                rows = {name: connection.execute(read.format(sql.Identifier(name))).fetchone()[0] for name in tables}
                counters = dict(connection.execute(_COUNTERS).fetchall())
            self._template = _Kept(tables, {name: found for name, found in rows.items() if found is not None}, counters)
        return self._template

    def _connected(self, name: str) -> Any:
        return psycopg.connect(self.server.get_uri(database=name), autocommit=True)


def _shape(connection: Any) -> str:
    found: str = connection.execute(_SHAPE).fetchone()[0]
    return found
