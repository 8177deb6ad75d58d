"""PostgreSQL with pgvector: a table for each collection, an HNSW index on its vectors, the filter in the query itself.

Any number of processes may use it at once. What one writes the others find when the call has returned.
"""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import psycopg
from numpy.typing import NDArray
from pgvector.psycopg import register_vector
from psycopg.sql import SQL, Composable, Composed
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from core.database_connection import blocking_connection_class
from core.errors import Unavailable
from core.pools import driver_options
from core.settings import Settings
from retrievers.base import Chunk, Shelf, Vectors
from retrievers.filters import Filter
from retrievers.stores import pgvector_tables as tables
from retrievers.stores.dimensions import embedding_changed
from retrievers.stores.pgvector_filter import Condition, clean, json_of, number_kinds
from retrievers.stores.pgvector_tables import ShelfTable

Found = TypeVar("Found")

#: Chunks of one transaction.
_BATCH = 500
#: Up to so many chunks that pass a filter are compared one by one, which is exact; more are looked for in the index.
_COMPARED = 5000
#: How many candidates the index looks at, at least; pgvector's most is 1,000.
_LEAST_CANDIDATES, _MOST_CANDIDATES = 128, 1000

#: For one transaction: the planner does not know what passes a filter, and would take other ways.
_BY_INDEX = (
    "SELECT set_config('hnsw.ef_search', %s, true), set_config('hnsw.iterative_scan', 'relaxed_order', true), "
    "set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)"
)
_CHUNK = SQL("id, document_id, document, revision, text, starts_at, ends_at, page, context, attributes")
_COLUMNS = ("tenant", "document_id", "document", "revision", "text", "starts_at", "ends_at", "page", "context", "attributes")


class PgvectorStore:
    """`retrievers.base.VectorStore` on PostgreSQL.

    Raises:
        SettingsError: no PostgreSQL is named, or it has no pgvector of 0.8 or newer.
        Unavailable: it does not answer.
    """

    shareable = True

    def __init__(self, settings: Settings) -> None:
        self._address = tables.address(settings)
        self._options = driver_options(settings)
        connection_class = blocking_connection_class(settings.database.answer_s)
        with _told(), psycopg.connect(self._address, autocommit=True, **self._options) as connection:
            tables.prepare(connection)
        self._pool = ConnectionPool(
            self._address,
            connection_class=connection_class,
            kwargs={"autocommit": True, **self._options},
            min_size=1,
            max_size=settings.retrieval.pgvector_connections,
            timeout=settings.database.wait_s,
            configure=register_vector,
            check=ConnectionPool.check_connection,
            open=True,
            name="vectors",
        )
        self._known: dict[Shelf, ShelfTable] = {}
        self._lock = threading.Lock()

    def upsert(self, shelf: Shelf, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Insert or replace by chunk id; may be repeated.

        Raises:
            ValueError: the shelf is another tenant's.
            Conflict: `embedding_changed`, the vectors are of another embedding model.
        """
        if len(chunks) != len(vectors):
            raise ValueError(f"{len(chunks)} chunks with {len(vectors)} vectors")
        # in one order everywhere, so that two who write the same wait for each other and not both
        order = sorted(range(len(chunks)), key=lambda number: chunks[number].id)

        def write(connection: "psycopg.Connection[Any]", table: ShelfTable) -> None:
            statement = _upsert(table)
            for first in range(0, len(order), _BATCH):
                rows = [_row(chunks[number], shelf, vectors[number]) for number in order[first : first + _BATCH]]
                with connection.transaction(), connection.cursor() as cursor:
                    cursor.executemany(statement, rows)

        if chunks:
            self._on(shelf, write, None, dimension=vectors.shape[1], make=True)

    def search(
        self, shelf: Shelf, vector: NDArray[np.float32], limit: int, filter: Filter | None = None
    ) -> list[tuple[Chunk, float]]:
        """The nearest chunks with their cosine similarity, best first. Empty for an unknown collection."""
        return [(_chunk(row), similarity) for row, similarity in self._nearest(shelf, vector, limit, filter, _CHUNK)]

    def nearest(
        self, shelf: Shelf, vector: NDArray[np.float32], limit: int, filter: Filter | None = None
    ) -> list[tuple[str, float]]:
        """The ids of what `search` gives, with the same cosine similarities, best first."""
        return [(row[0], similarity) for row, similarity in self._nearest(shelf, vector, limit, filter, SQL("id"))]

    def _nearest(
        self, shelf: Shelf, vector: NDArray[np.float32], limit: int, filter: Filter | None, columns: SQL
    ) -> list[tuple[tuple[Any, ...], float]]:
        """Rows of these columns, of which the first is the id, with their similarity."""
        if limit < 1:
            return []
        asked = np.ascontiguousarray(vector, dtype=np.float32)
        passing: Composable = SQL("tenant = %s")
        values: list[Any] = [shelf.tenant]
        if filter is not None:
            also = Condition(filter)
            passing, values = SQL("tenant = %s AND {}").format(also.sql), [shelf.tenant, *also.values]

        def nearest(connection: "psycopg.Connection[Any]", table: ShelfTable) -> list[tuple[tuple[Any, ...], float]]:
            query = _Query(table, columns, asked, limit, passing, values)
            found = query.compared(connection, most=_COMPARED) if filter is not None else None
            if found is None:
                found = query.by_index(connection)
                if len(found) < limit:  # there are no more, or it gave up
                    found = query.compared(connection) or []
            return found

        return self._on(shelf, nearest, [], dimension=len(asked))

    def get(self, shelf: Shelf, chunk_ids: Sequence[str]) -> list[Chunk]:
        """The chunks that are there, in the order asked for."""

        def read(connection: "psycopg.Connection[Any]", table: ShelfTable) -> list[Chunk]:
            query = SQL("SELECT {} FROM {} WHERE tenant = %s AND id = ANY(%s)").format(_CHUNK, table.name)
            rows = connection.execute(query, [shelf.tenant, list(dict.fromkeys(chunk_ids))]).fetchall()
            found = {row[0]: _chunk(row) for row in rows}
            return [found[chunk_id] for chunk_id in chunk_ids if chunk_id in found]

        return self._on(shelf, read, []) if chunk_ids else []

    def similarities(self, shelf: Shelf, vector: NDArray[np.float32], chunk_ids: Sequence[str]) -> dict[str, float]:
        """The cosine similarity of the named chunks to `vector`; those that are not there are left out."""

        def compare(connection: "psycopg.Connection[Any]", table: ShelfTable) -> dict[str, float]:
            query = SQL("SELECT id, embedding <=> %b FROM {} WHERE tenant = %s AND id = ANY(%s)").format(table.name)
            asked = np.ascontiguousarray(vector, dtype=np.float32)
            rows = connection.execute(query, [asked, shelf.tenant, list(chunk_ids)]).fetchall()
            return {chunk_id: _similarity(distance) for chunk_id, distance in rows}

        return self._on(shelf, compare, {}, dimension=len(vector)) if chunk_ids else {}

    def vectors(self, shelf: Shelf, chunk_ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors of the named chunks; those that are not there are left out."""

        def read(connection: "psycopg.Connection[Any]", table: ShelfTable) -> dict[str, NDArray[np.float32]]:
            query = SQL("SELECT id, embedding FROM {} WHERE tenant = %s AND id = ANY(%s)").format(table.name)
            rows = connection.execute(query, [shelf.tenant, list(dict.fromkeys(chunk_ids))], binary=True).fetchall()
            return {chunk_id: vector.to_numpy() for chunk_id, vector in rows}

        return self._on(shelf, read, {}) if chunk_ids else {}

    def stretch(self, shelf: Shelf, document_id: str, revision: int, start: int, end: int) -> list[Chunk]:
        """The chunks of a document's revision that begin in the stretch `[start:end]` of its text."""

        def read(connection: "psycopg.Connection[Any]", table: ShelfTable) -> list[Chunk]:
            query = SQL(
                "SELECT {} FROM {} WHERE tenant = %s AND document_id = %s AND revision = %s "
                "AND starts_at >= %s AND starts_at < %s"
            ).format(_CHUNK, table.name)
            rows = connection.execute(query, [shelf.tenant, document_id, revision, start, end]).fetchall()
            return [_chunk(row) for row in rows]

        return self._on(shelf, read, [])

    def delete_document(self, shelf: Shelf, document_id: str, *, keep_revision: int | None = None) -> None:
        """Delete a document's chunks; those of `keep_revision` stay. No error where there are none."""
        if keep_revision is None:
            self._delete(shelf, SQL("document_id = %s"), [document_id])
        else:
            self._delete(shelf, SQL("document_id = %s AND revision <> %s"), [document_id, keep_revision])

    def delete_where(self, shelf: Shelf, filter: Filter) -> int:
        """Delete the chunks that the filter lets pass. How many they were."""
        which = Condition(filter)
        return self._delete(shelf, which.sql, which.values)

    def delete_collection(self, shelf: Shelf) -> None:
        """Delete all its chunks. No error where there is no such collection."""
        with self._connection() as connection:
            tables.drop(connection, shelf)
        self._forget(shelf)

    def scan(self, shelf: Shelf, after: str, limit: int) -> tuple[list[Chunk], Vectors]:
        """The next chunks with their vectors as they were given, by identifier: those behind `after`."""
        nothing: tuple[list[Chunk], Vectors] = ([], np.empty((0, 0), dtype=np.float32))

        def read(connection: "psycopg.Connection[Any]", table: ShelfTable) -> tuple[list[Chunk], Vectors]:
            query = SQL("SELECT {}, embedding FROM {} WHERE tenant = %s AND id > %s ORDER BY id LIMIT %s")
            rows = connection.execute(query.format(_CHUNK, table.name), [shelf.tenant, after, limit], binary=True).fetchall()
            if not rows:
                return nothing
            return [_chunk(row) for row in rows], np.stack([row[-1].to_numpy() for row in rows])

        return self._on(shelf, read, nothing) if limit > 0 else nothing

    def count(self, shelf: Shelf, document_id: str | None = None) -> int:
        """How many chunks a collection, or one of its documents, has."""

        def counted(connection: "psycopg.Connection[Any]", table: ShelfTable) -> int:
            query = SQL("SELECT count(*) FROM {} WHERE tenant = %s AND (%s::text IS NULL OR document_id = %s)")
            row = connection.execute(query.format(table.name), [shelf.tenant, document_id, document_id]).fetchone()
            return int(row[0]) if row else 0

        return self._on(shelf, counted, 0)

    def scrub(self) -> None:
        """Write anew the tables that something was deleted from. Searches go on meanwhile, writes to that table wait.

        Raises:
            Unavailable: `store_unavailable`: not now.
        """
        with _told(), psycopg.connect(self._address, autocommit=True, **self._options) as connection:
            tables.rewrite(connection)

    def ping(self) -> None:
        """Raises `core.errors.Unavailable` when the store does not answer."""
        with self._connection() as connection:
            connection.execute("SELECT 1")

    def close(self) -> None:
        """Close the connections; may be called again."""
        self._pool.close()

    def _delete(self, shelf: Shelf, which: Composable, values: Sequence[Any]) -> int:
        def delete(connection: "psycopg.Connection[Any]", table: ShelfTable) -> int:
            with connection.transaction():
                query = SQL("DELETE FROM {} WHERE tenant = %s AND {}").format(table.name, which)
                deleted = connection.execute(query, [shelf.tenant, *values]).rowcount
                if deleted:
                    tables.note_deletion(connection, table)
            return deleted

        return self._on(shelf, delete, 0)

    def _on(
        self,
        shelf: Shelf,
        work: "Callable[[psycopg.Connection[Any], ShelfTable], Found]",
        nothing: Found,
        *,
        dimension: int | None = None,
        make: bool = False,
    ) -> Found:
        """Work on the shelf's table with vectors of that dimension; `nothing` where there is none, unless it is to be made.
        Again
        where the table has gone meanwhile, or another has taken its place.

        Raises:
            Conflict: `embedding_changed`, the table's vectors have another dimension.
        """
        with self._connection() as connection:
            for last in (False, False, True):
                table = self._known.get(shelf)
                if table is None or dimension not in (None, table.dimension):
                    table = self._found(connection, shelf, dimension if make else None)
                if table is None:
                    return nothing
                if dimension is not None and dimension != table.dimension:
                    raise embedding_changed(dimension)
                try:
                    return work(connection, table)
                except psycopg.errors.UndefinedTable as error:
                    self._forget(shelf)
                    if last:
                        raise Unavailable("The vector store is busy.", code="store_unavailable") from error
        raise AssertionError

    def _found(self, connection: "psycopg.Connection[Any]", shelf: Shelf, making: int | None) -> ShelfTable | None:
        table = tables.find(connection, shelf)
        if table is None and making is not None:
            table = tables.make(connection, shelf, making)
        if table is not None:
            with self._lock:
                self._known[shelf] = table
        return table

    def _forget(self, shelf: Shelf) -> None:
        with self._lock:
            self._known.pop(shelf, None)

    @contextmanager
    def _connection(self) -> "Iterator[psycopg.Connection[Any]]":
        with _told(), self._pool.connection() as connection:
            yield connection


@contextmanager
def _told() -> Iterator[None]:
    """What the driver says of a server that does not answer, as the platform's error."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, PoolClosed) as error:
        raise Unavailable("The vector store does not answer.", code="store_unavailable") from error


@dataclass(frozen=True, slots=True)
class _Query:
    """What is asked of one table."""

    table: ShelfTable
    columns: SQL
    asked: NDArray[np.float32]
    limit: int
    passing: Composable
    values: Sequence[Any]

    def by_index(self, connection: "psycopg.Connection[Any]") -> list[tuple[tuple[Any, ...], float]]:
        """The nearest by the HNSW index, which goes on until there are enough that pass, or it has looked at its bound."""
        candidates = min(max(2 * self.limit, _LEAST_CANDIDATES), _MOST_CANDIDATES)
        query = SQL("SELECT {}, embedding <=> %b FROM {} WHERE {} ORDER BY {} LIMIT %s").format(
            self.columns, self.table.name, self.passing, self.table.distance
        )
        with connection.pipeline(), connection.transaction():
            connection.execute(_BY_INDEX, [str(candidates)])
            rows = connection.execute(query, [self.asked, *self.values, self.asked, self.limit]).fetchall()
        return _ranked(rows)

    def compared(
        self, connection: "psycopg.Connection[Any]", *, most: int | None = None
    ) -> list[tuple[tuple[Any, ...], float]] | None:
        """The nearest of all that pass, each compared; None where there are more than `most`."""
        query = SQL(
            "WITH passing AS MATERIALIZED (SELECT id, embedding <=> %b AS d FROM {table} WHERE {passing} LIMIT %s), "
            "nearest AS MATERIALIZED (SELECT id AS nearest, d FROM passing ORDER BY d LIMIT %s) "
            "SELECT {chunk}, (SELECT count(*) FROM passing), d FROM nearest JOIN {table} ON id = nearest"
        ).format(table=self.table.name, passing=self.passing, chunk=self.columns)
        bound = most + 1 if most is not None else None
        rows = connection.execute(query, [self.asked, *self.values, bound, self.limit]).fetchall()
        if most is not None and rows and rows[0][-2] > most:
            return None
        return _ranked(rows)


def _ranked(rows: Sequence[tuple[Any, ...]]) -> list[tuple[tuple[Any, ...], float]]:
    found = [(row, _similarity(row[-1])) for row in rows]
    return sorted(found, key=lambda one: (-one[1], one[0][0]))


def _similarity(distance: float) -> float:
    return 0.0 if math.isnan(distance) else 1.0 - distance


def _upsert(table: ShelfTable) -> Composed:
    columns = SQL(", ").join(map(SQL, _COLUMNS))
    values = SQL(", ").join([SQL("%s")] * len(_COLUMNS))
    renewed = SQL(", ").join(SQL("{0} = excluded.{0}").format(SQL(name)) for name in (*_COLUMNS, "embedding"))
    return SQL("INSERT INTO {} (id, {}, embedding) VALUES (%s, {}, %b) ON CONFLICT (id) DO UPDATE SET {}").format(
        table.name, columns, values, renewed
    )


def _row(chunk: Chunk, shelf: Shelf, vector: NDArray[np.float32]) -> tuple[Any, ...]:
    return (
        chunk.id,
        shelf.tenant,
        chunk.document_id,
        clean(chunk.document),
        chunk.revision,
        clean(chunk.text),
        chunk.start,
        chunk.end,
        chunk.page,
        clean(chunk.context),
        json_of(dict(chunk.attributes)),
        np.ascontiguousarray(vector, dtype=np.float32),
    )


def _chunk(row: tuple[Any, ...]) -> Chunk:
    return Chunk(
        id=row[0],
        document_id=row[1],
        document=row[2],
        revision=row[3],
        text=row[4],
        start=row[5],
        end=row[6],
        page=row[7],
        context=row[8],
        attributes=number_kinds(row[9]),
    )
