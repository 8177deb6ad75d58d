"""A vector store that several processes may open: rows of one SQLite file, compared one by one. For tests and measurements of
several servers, with some thousand chunks."""

import pickle
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.settings import Settings
from retrievers.base import Chunk, Shelf, Vectors
from retrievers.filters import Filter, matches

_TABLE = (
    "CREATE TABLE IF NOT EXISTS chunks (tenant TEXT, collection TEXT, id TEXT, document TEXT, revision INTEGER, "
    "vector BLOB, chunk BLOB, PRIMARY KEY (tenant, collection, id))"
)
_MINE = "FROM chunks WHERE tenant = ? AND collection = ?"


class SharedVectors:
    """`retrievers.base.VectorStore` in the file `path`, which a subclass names."""

    shareable = True
    path: Path

    def __init__(self, settings: Settings) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(self.path, timeout=30, check_same_thread=False, isolation_level=None)
        self._ask("PRAGMA journal_mode=WAL")
        self._ask(_TABLE)

    def _ask(self, statement: str, *values: Any) -> list[Any]:
        with self._lock, closing(self._connection.cursor()) as cursor:
            return cursor.execute(statement, values).fetchall()

    def upsert(self, shelf: Shelf, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        for chunk, vector in zip(chunks, vectors, strict=True):
            row = (shelf.tenant, shelf.collection_id, chunk.id, chunk.document_id, chunk.revision)
            packed = np.asarray(vector, dtype=np.float32).tobytes(), pickle.dumps(chunk)
            self._ask("INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?)", *row, *packed)

    def search(
        self, shelf: Shelf, vector: NDArray[np.float32], limit: int, filter: Filter | None = None
    ) -> list[tuple[Chunk, float]]:
        found = [
            (chunk, float(np.frombuffer(packed, dtype=np.float32) @ vector))
            for chunk, packed in self._rows(f"SELECT chunk, vector {_MINE}", shelf)
            if filter is None or matches(filter, chunk)
        ]
        return sorted(found, key=lambda pair: -pair[1])[:limit]

    def get(self, shelf: Shelf, chunk_ids: Sequence[str]) -> list[Chunk]:
        found = (self._rows(f"SELECT chunk, vector {_MINE} AND id = ?", shelf, chunk_id) for chunk_id in chunk_ids)
        return [chunk for rows in found for chunk, _ in rows]

    def similarities(self, shelf: Shelf, vector: NDArray[np.float32], chunk_ids: Sequence[str]) -> dict[str, float]:
        asked = set(chunk_ids)
        return {chunk.id: likeness for chunk, likeness in self.search(shelf, vector, 1_000_000) if chunk.id in asked}

    def delete_document(self, shelf: Shelf, document_id: str, *, keep_revision: int | None = None) -> None:
        kept = -1 if keep_revision is None else keep_revision
        self._ask(f"DELETE {_MINE} AND document = ? AND revision != ?", *_names(shelf), document_id, kept)

    def delete_where(self, shelf: Shelf, filter: Filter) -> int:
        passing = [chunk.id for chunk, _ in self._rows(f"SELECT chunk, vector {_MINE}", shelf) if matches(filter, chunk)]
        for chunk_id in passing:
            self.lose(shelf, chunk_id)
        return len(passing)

    def delete_collection(self, shelf: Shelf) -> None:
        self._ask(f"DELETE {_MINE}", *_names(shelf))

    def scan(self, shelf: Shelf, after: str, limit: int) -> tuple[list[Chunk], Vectors]:
        rows = self._rows(f"SELECT chunk, vector {_MINE} AND id > ? ORDER BY id LIMIT ?", shelf, after, limit)
        vectors = [np.frombuffer(packed, dtype=np.float32) for _, packed in rows]
        return [chunk for chunk, _ in rows], np.array(vectors, dtype=np.float32)

    def count(self, shelf: Shelf, document_id: str | None = None) -> int:
        of = "" if document_id is None else " AND document = ?"
        names = _names(shelf) if document_id is None else (*_names(shelf), document_id)
        return int(self._ask(f"SELECT count(*) {_MINE}{of}", *names)[0][0])

    def lose(self, shelf: Shelf, chunk_id: str) -> None:
        """As a store does silently."""
        self._ask(f"DELETE {_MINE} AND id = ?", *_names(shelf), chunk_id)

    def _rows(self, statement: str, shelf: Shelf, *values: Any) -> list[tuple[Chunk, bytes]]:
        rows = self._ask(statement, *_names(shelf), *values)
        return [(pickle.loads(chunk), vector) for chunk, vector in rows]  # noqa: S301 - its own

    def scrub(self) -> None:
        self._ask("VACUUM")

    def ping(self) -> None:
        self._ask("SELECT 1")

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _names(shelf: Shelf) -> tuple[str, str]:
    return shelf.tenant, shelf.collection_id
