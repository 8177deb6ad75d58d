"""The tables of vectors in PostgreSQL: one for each collection, and one that says whose each is.

They are the store's own, made when they are needed: Alembic, which keeps the platform's tables, knows nothing of them, and the
database may be another one.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from psycopg.sql import SQL, Composable, Identifier
from psycopg.sql import Literal as Value
from sqlalchemy.engine import make_url

from core.settings import Settings, SettingsError
from core.transport.plaintext import encrypted_database
from retrievers.base import Shelf

log = structlog.get_logger(__name__)

#: pg_advisory_xact_lock's number: "genv".
_MAKING = 0x67656E76
#: Iterative scans came with it.
_OLDEST = (0, 8)
#: What an index of pgvector 0.8 holds of `vector`, and of `halfvec`; beyond that every vector is compared.
_MOST_INDEXED, _MOST_INDEXED_IN_HALF = 2000, 4000

_SHELVES = """
CREATE TABLE IF NOT EXISTS vector_shelves (
    collection_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    dimension integer NOT NULL,
    deleted_from boolean NOT NULL DEFAULT false
)"""
_CHUNKS = """
CREATE TABLE {table} (
    id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL CHECK (tenant = {tenant}),
    document_id text COLLATE "C" NOT NULL,
    document text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    text text NOT NULL,
    starts_at bigint NOT NULL,
    ends_at bigint NOT NULL,
    page bigint,
    context text NOT NULL,
    attributes jsonb NOT NULL,
    embedding vector({dimension}) NOT NULL
)"""


@dataclass(frozen=True, slots=True)
class ShelfTable:
    """Where a shelf's chunks are."""

    number: int
    dimension: int

    @property
    def name(self) -> Identifier:
        """The table's name."""
        return Identifier(f"vectors_{self.number}")

    @property
    def distance(self) -> Composable:
        """The cosine distance to a parameter as the index has it, which may be in halves."""
        if _MOST_INDEXED < self.dimension <= _MOST_INDEXED_IN_HALF:
            half = SQL("halfvec({})").format(Value(self.dimension))
            return SQL("embedding::{half} <=> %b::{half}").format(half=half)
        return SQL("embedding <=> %b")


def address(settings: Settings) -> str:
    """Where PostgreSQL is, as libpq takes it: `retrieval.pgvector_url`, or else the platform's own database.

    Raises:
        SettingsError: neither is one.
    """
    own = settings.retrieval.pgvector_url
    given = own.get_secret_value() if own is not None else settings.database_url
    url = make_url(given) if given else None
    if url is None or url.get_backend_name() not in ("postgresql", "postgres"):
        raise SettingsError(
            "GENAI_RETRIEVAL__STORE: pgvector is in PostgreSQL: set GENAI_DATABASE_URL=postgresql://…, or, for a database of "
            "its own, GENAI_RETRIEVAL__PGVECTOR_URL"
        )
    return encrypted_database(url.set(drivername="postgresql"), settings.tls).render_as_string(hide_password=False)


def prepare(connection: "psycopg.Connection[Any]") -> None:
    """Have the extension and the table of shelves there. May be repeated, by several processes at once.

    Raises:
        SettingsError: the extension is missing or too old, and this role may not make it.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MAKING])
        row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
        if row is None:
            try:
                with connection.transaction():
                    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            except (
                psycopg.errors.InsufficientPrivilege,
                psycopg.errors.FeatureNotSupported,
                psycopg.errors.UndefinedFile,
            ) as error:
                raise SettingsError(
                    "GENAI_RETRIEVAL__STORE: pgvector is not there in the database: install it beside PostgreSQL, and have a "
                    "superuser say CREATE EXTENSION vector in this database"
                ) from error
        elif tuple(map(int, row[0].split(".")[:2])) < _OLDEST:
            raise SettingsError(f"GENAI_RETRIEVAL__STORE: the database has pgvector {row[0]}; 0.8 or newer is needed")
        connection.execute(_SHELVES)


def find(connection: "psycopg.Connection[Any]", shelf: Shelf) -> ShelfTable | None:
    """The shelf's table; None where there is none, and where it is another tenant's."""
    query = "SELECT number, dimension FROM vector_shelves WHERE collection_id = %s AND tenant = %s"
    row = connection.execute(query, [shelf.collection_id, shelf.tenant]).fetchone()
    return ShelfTable(*row) if row is not None else None


def make(connection: "psycopg.Connection[Any]", shelf: Shelf, dimension: int) -> ShelfTable:
    """The shelf's table, which is made where there is none. Who makes the same at once waits.

    Raises:
        ValueError: the shelf is another tenant's.
    """
    with connection.transaction():
        row = connection.execute(
            "INSERT INTO vector_shelves (collection_id, tenant, dimension) VALUES (%s, %s, %s) "
            "ON CONFLICT DO NOTHING RETURNING number",
            [shelf.collection_id, shelf.tenant, dimension],
        ).fetchone()
        if row is None:
            found = find(connection, shelf)
            if found is None:
                raise ValueError("the shelf is another tenant's")
            return found
        table = ShelfTable(row[0], dimension)
        _create(connection, table, shelf.tenant)
        _index(connection, table)
    log.info("store.shelf_made", collection_id=shelf.collection_id, dimension=dimension)
    return table


def drop(connection: "psycopg.Connection[Any]", shelf: Shelf) -> None:
    """Drop the shelf's table. No error where there is none."""
    while (table := find(connection, shelf)) is not None:
        # the table first, as `rewrite` does: in another order the two could wait for each other
        with suppress(psycopg.errors.UndefinedTable), connection.transaction():
            connection.execute(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table.name))
            connection.execute("DELETE FROM vector_shelves WHERE number = %s", [table.number])
            connection.execute(SQL("DROP TABLE {}").format(table.name))


def note_deletion(connection: "psycopg.Connection[Any]", table: ShelfTable) -> None:
    """Have the next `rewrite` look at the table."""
    query = "UPDATE vector_shelves SET deleted_from = true WHERE number = %s AND NOT deleted_from"
    connection.execute(query, [table.number])


def rewrite(connection: "psycopg.Connection[Any]") -> None:
    """Write each table anew that something was deleted from, and drop the old one: PostgreSQL's VACUUM leaves in the free space
    of its pages what was there. One at a time; others go on reading it, and wait before they write to it."""
    query = "SELECT number, dimension, tenant FROM vector_shelves WHERE deleted_from ORDER BY number"
    for number, dimension, tenant in connection.execute(query).fetchall():
        with suppress(psycopg.errors.UndefinedTable):
            _rewrite(connection, ShelfTable(number, dimension), tenant)


def _rewrite(connection: "psycopg.Connection[Any]", old: ShelfTable, tenant: str) -> None:
    with connection.transaction():
        connection.execute(SQL("LOCK TABLE {} IN SHARE MODE").format(old.name))
        query = "UPDATE vector_shelves SET number = DEFAULT, deleted_from = false WHERE number = %s RETURNING number"
        row = connection.execute(query, [old.number]).fetchone()
        if row is None:
            return
        new = ShelfTable(row[0], old.dimension)
        _create(connection, new, tenant)
        connection.execute(SQL("INSERT INTO {} SELECT * FROM {}").format(new.name, old.name))
        _index(connection, new)
        connection.execute(SQL("DROP TABLE {}").format(old.name))


def _create(connection: "psycopg.Connection[Any]", table: ShelfTable, tenant: str) -> None:
    connection.execute(SQL(_CHUNKS).format(table=table.name, tenant=Value(tenant), dimension=Value(table.dimension)))
    # vectors stay in the row, where they are compared; a long text moves out before them
    connection.execute(SQL("ALTER TABLE {} ALTER embedding SET STORAGE MAIN").format(table.name))


def _index(connection: "psycopg.Connection[Any]", table: ShelfTable) -> None:
    connection.execute(SQL("CREATE INDEX ON {} (document_id)").format(table.name))
    connection.execute(SQL("CREATE INDEX ON {} USING gin (attributes jsonb_path_ops)").format(table.name))
    if table.dimension <= _MOST_INDEXED:
        connection.execute(SQL("CREATE INDEX ON {} USING hnsw (embedding vector_cosine_ops)").format(table.name))
    elif table.dimension <= _MOST_INDEXED_IN_HALF:
        half = SQL("(embedding::halfvec({}))").format(Value(table.dimension))
        connection.execute(SQL("CREATE INDEX ON {} USING hnsw ({} halfvec_cosine_ops)").format(table.name, half))
