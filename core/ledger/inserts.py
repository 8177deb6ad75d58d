"""Adding rows to the ledger's tables, many of one in one statement. A row that is there already is not added again.

On PostgreSQL the rows go to libpq as one parameter of one statement: a fraction of the CPU time that SQLAlchemy takes for them,
and one round trip instead of four. Every answer waits for this.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import orjson
import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from sqlalchemy import Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from core.database import blocking_engine, blocking_transaction
from core.settings import Settings
from core.tables.experiments import Exposure
from core.tables.ledger import LedgerRow
from core.tables.outcomes import RequestOutcome
from core.tenancy import ALL, SETTING

Row = dict[str, Any]

_CALLS: Table = LedgerRow.__table__  # type: ignore[attr-defined]
_OUTCOMES: Table = RequestOutcome.__table__  # type: ignore[attr-defined]
#: What is wrong with a row, and not with the database.
_OF_A_ROW = (
    DataError,
    IntegrityError,
    psycopg.DataError,
    psycopg.IntegrityError,
    OverflowError,
    ValueError,
    TypeError,
)


class RowsRefused(Exception):
    """The database takes one of the rows by no means; none of them was added."""


class DatabaseAway(Exception):
    """The database cannot be reached, or does not work: try again later."""


class Inserts:
    """For one thread. Connects at first use."""

    def __init__(self, settings: Settings) -> None:
        self._engine = blocking_engine(settings)
        self._add: Callable[[Sequence[Row]], None] = self._by_sqlite
        if self._engine.dialect.name == "postgresql":
            self._add = self._by_postgresql
        self._connection: Any = None
        self._prepares = settings.database.prepared_statements
        #: By table, columns, and whether exposures go with them: what the connection calls the statement that it has prepared.
        self._names: dict[tuple[str, tuple[str, ...], bool], bytes] = {}

    def add(self, rows: Sequence[Row]) -> None:
        """Commit all of a table's, or none. May be repeated.

        Raises:
            RowsRefused, DatabaseAway
        """
        try:
            self._add(rows)
        except _OF_A_ROW as error:
            raise RowsRefused(type(error).__name__) from error
        except (SQLAlchemyError, psycopg.Error, OSError) as error:
            self.close()
            raise DatabaseAway(type(error).__name__) from error

    def close(self) -> None:
        """Disconnect. May be used again."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection = None
            self._names.clear()
        self._engine.dispose()

    def _by_sqlite(self, rows: Sequence[Row]) -> None:
        with blocking_transaction(self._engine) as connection:
            if exposed := _exposures(rows):
                connection.execute(_EXPOSE, exposed)
            for table, its in _by_table(rows):
                connection.execute(sqlite.insert(table).on_conflict_do_nothing(), its)

    def _by_postgresql(self, rows: Sequence[Row]) -> None:
        for table, its in _by_table(rows):
            self._into(table.name, its)

    def _into(self, table: str, rows: Sequence[Row]) -> None:
        columns, given = tuple(rows[0]), orjson.dumps(rows, default=str)
        exposed = any(row.get("exposure") for row in rows)
        old = self._connection is not None
        try:
            self._execute(table, columns, given, exposed=exposed)
        except psycopg.OperationalError:
            if not old:
                raise
            self.close()  # it may have been closed while nothing was to be written
            self._execute(table, columns, given, exposed=exposed)

    def _execute(self, table: str, columns: tuple[str, ...], given: bytes, *, exposed: bool) -> None:
        """Nothing of psycopg's cursors, which take as much time again as all the rest of it."""
        if self._connection is None:
            self._connection = self._engine.raw_connection()
            self._connection.driver_connection.autocommit = True
        connection: PGconn = self._connection.driver_connection.pgconn
        if not self._prepares:
            _check(connection, connection.exec_params(_insert(table, columns, exposed=exposed), [given]))
            return
        key = table, columns, exposed
        if key not in self._names:
            name = b"ledger_%d" % len(self._names)
            _check(connection, connection.prepare(name, _insert(table, columns, exposed=exposed)))
            self._names[key] = name
        _check(connection, connection.exec_prepared(self._names[key], [given]))


def _by_table(rows: Sequence[Row]) -> list[tuple[Table, Sequence[Row]]]:
    """The rows of each table that there are some of; those of outcomes tell no provider."""
    calls = [row for row in rows if "provider" in row]
    if len(calls) == len(rows):
        return [(_CALLS, rows)]
    outcomes = [row for row in rows if "provider" not in row]
    return [*([(_CALLS, calls)] if calls else []), (_OUTCOMES, outcomes)]


def _check(connection: PGconn, result: PGresult) -> None:
    """Raises psycopg.Error where the statement failed."""
    if result.status == ExecStatus.COMMAND_OK:
        return
    if connection.status != ConnStatus.OK:
        raise psycopg.OperationalError("the connection was lost")
    raise error_from_result(result)


@lru_cache
def _insert(table: str, columns: tuple[str, ...], *, exposed: bool) -> bytes:
    """The statement tells the database itself that it works for all tenants: a pooler between may give each statement another
    connection. `exposed`: with the exposures that rows are of, each once, with its first time."""
    given = (
        f"SELECT {', '.join(f'given.{name}' for name in columns)} "  # noqa: S608 - names of ours
        f"FROM (SELECT set_config('{SETTING}', '{ALL}', true)) AS told, "
        f"jsonb_populate_recordset(NULL::{table}, $1::jsonb) AS given"
    )
    into = f"INSERT INTO {table} ({', '.join(columns)})"
    if not exposed:
        return f"{into} {given} ON CONFLICT DO NOTHING".encode()
    return (
        f"WITH given AS MATERIALIZED ({given}), exposed AS ("  # noqa: S608 - names of ours
        "INSERT INTO experiment_exposures (id, tenant, experiment_id, variant, unit, first_at) "
        "SELECT exposure, tenant, split_part(exposure, '/', 1), split_part(exposure, '/', 2)::int, "
        "split_part(exposure, '/', 3), min(at) FROM given WHERE exposure IS NOT NULL GROUP BY exposure, tenant "
        "ON CONFLICT (id) DO UPDATE SET first_at = excluded.first_at WHERE excluded.first_at < experiment_exposures.first_at) "
        f"{into} SELECT * FROM given ON CONFLICT DO NOTHING"
    ).encode()


def _exposures(rows: Sequence[Row]) -> list[Row]:
    """The exposures that rows are of, each with its first time."""
    first: dict[str, Row] = {}
    for row in rows:
        if (exposure := row.get("exposure")) and (exposure not in first or row["at"] < first[exposure]["at"]):
            first[exposure] = row
    found = []
    for exposure, row in first.items():
        experiment_id, variant, unit = exposure.split("/")
        named = {"id": exposure, "experiment_id": experiment_id, "variant": int(variant), "unit": unit}
        found.append(named | {"tenant": row["tenant"], "first_at": row["at"]})
    return found


def _expose() -> Any:
    insert = sqlite.insert(Exposure.__table__)  # type: ignore[attr-defined]
    earlier = insert.excluded.first_at < Exposure.__table__.c.first_at  # type: ignore[attr-defined]
    return insert.on_conflict_do_update(["id"], set_={"first_at": insert.excluded.first_at}, where=earlier)


_EXPOSE = _expose()
