"""Connections to PostgreSQL on which nobody waits for ever."""

from typing import Any

import psycopg


def connection_class(answer_s: float) -> "type[psycopg.AsyncConnection[Any]]":
    """Connections whose every answer comes within so many seconds, or never: one that is late ends its connection, since a
    server that is frozen would not hear either that a statement is to be ended."""

    class Connection(psycopg.AsyncConnection[Any]):
        async def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - psycopg's own
            try:
                return await super().wait(gen, interval, timeout or answer_s)
            except psycopg.errors._WaitTimeout as late:  # noqa: SLF001 - as the method says
                if timeout is not None:
                    raise
                self.pgconn.finish()
                raise psycopg.OperationalError("the database does not answer") from late

    return Connection


def blocking_connection_class(answer_s: float) -> "type[psycopg.Connection[Any]]":
    """The same for threads."""

    class Connection(psycopg.Connection[Any]):
        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            try:
                return super().wait(gen, interval, timeout or answer_s)
            except psycopg.errors._WaitTimeout as late:  # noqa: SLF001 - psycopg's own, as above
                if timeout is not None:
                    raise
                self.pgconn.finish()
                raise psycopg.OperationalError("the database does not answer") from late

    return Connection
