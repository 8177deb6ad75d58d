"""Adding rows to the ledger's table, many in one statement. A row that is there already is not added again.

On PostgreSQL the driver is used as it is, with the rows as one parameter: a seventh of the CPU time that SQLAlchemy takes for
them, and one round trip instead of four. Every answer waits for this.
"""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import psycopg
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from core.database import blocking_engine, blocking_transaction
from core.settings import Settings
from core.tables.ledger import LedgerRow
from core.tenancy import ALL, SETTING

Row = dict[str, Any]

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

    def add(self, rows: Sequence[Row]) -> None:
        """Commit all of them, or none.

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
        self._engine.dispose()

    def _by_sqlite(self, rows: Sequence[Row]) -> None:
        with blocking_transaction(self._engine) as connection:
            connection.execute(sqlite.insert(LedgerRow.__table__).on_conflict_do_nothing(), rows)  # type: ignore[attr-defined]

    def _by_postgresql(self, rows: Sequence[Row]) -> None:
        statement, given = _insert(tuple(rows[0])), orjson.dumps(rows, default=str).decode()
        old = self._connection is not None
        try:
            self._cursor().execute(statement, (given,))
        except psycopg.OperationalError:
            if not old:
                raise
            self.close()  # it may have been closed while nothing was to be written
            self._cursor().execute(statement, (given,))

    def _cursor(self) -> Any:
        if self._connection is None:
            self._connection = self._engine.raw_connection()
            self._connection.driver_connection.autocommit = True
        return self._connection.driver_connection.cursor()


def _insert(columns: Sequence[str]) -> str:
    """The statement tells the database itself that it works for all tenants: a pooler between may give each statement another
    connection."""
    return (
        f"INSERT INTO ledger ({', '.join(columns)}) SELECT {', '.join(f'given.{name}' for name in columns)} "  # noqa: S608 - names of ours
        f"FROM (SELECT set_config('{SETTING}', '{ALL}', true)) AS told, "
        "jsonb_populate_recordset(NULL::ledger, %s::jsonb) AS given ON CONFLICT DO NOTHING"
    )
