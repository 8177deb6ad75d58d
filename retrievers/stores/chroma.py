"""Chroma, embedded: one Chroma collection for each collection id, cosine distance, in the data directory.

One process may have it open: another would see the vectors as they were when it opened them, silently.
"""

import heapq
import shutil
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from core.child import ChildError
from core.errors import Unavailable
from core.settings import Settings
from core.sqlite_apart import Statement, execute_apart
from retrievers.base import Chunk, Shelf, Vectors
from retrievers.filters import Filter, matches, narrow
from retrievers.stores.chroma_filter import sayable, where
from retrievers.stores.chroma_index import Gate, IndexFiles, OpenCollection
from retrievers.stores.chroma_rows import TENANT, chunk_of, is_on, metadata_of, read_with_vectors
from retrievers.stores.dimensions import embedding_changed
from retrievers.stores.sole import taken_alone

#: Below Chroma's bound of 5,461 rows a call (1.5.9).
_BATCH = 1000
#: Where the filter is checked here, so many times as many are looked at again, up to the nearest that many; then all.
_MORE, _NEAREST = 4, 4096
#: Chroma's log keeps what was written until its vectors are in their files, also what was deleted since (operation 3).
_UNQUEUE = """
DELETE FROM embeddings_queue WHERE seq_id IN (
    SELECT written.seq_id FROM embeddings_queue AS written JOIN (
        SELECT topic, id, max(seq_id) AS seq_id FROM embeddings_queue WHERE operation = 3 GROUP BY topic, id
    ) AS deleted ON written.topic = deleted.topic AND written.id = deleted.id AND written.seq_id < deleted.seq_id
)"""
#: Seconds to wait for who writes Chroma's database.
_BUSY_WAIT_S = 10.0
#: And for a database to be written anew, gigabytes perhaps.
_SCRUB_S = 1800.0


class ChromaStore:
    """`retrievers.base.VectorStore` on Chroma's embedded client.

    Raises:
        Conflict: `store_not_shareable`: another store has the directory open.
    """

    shareable = False

    def __init__(self, settings: Settings) -> None:
        import chromadb
        from chromadb.config import Settings as ChromaSettings

        self._lock_file = taken_alone(settings.path("chroma.lock"))
        self._path = settings.path("chroma")
        try:
            self._client: Any = chromadb.PersistentClient(path=self._path, settings=ChromaSettings(anonymized_telemetry=False))
        except BaseException:
            self._lock_file.release()
            raise
        self._prepare()

    def _prepare(self) -> None:
        self._opened: dict[Shelf, Any] = {}
        self._lock = threading.Lock()
        self._gate = Gate()

    def upsert(self, shelf: Shelf, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Insert or replace by chunk id; may be repeated."""
        if len(chunks) != len(vectors):
            raise ValueError(f"{len(chunks)} chunks with {len(vectors)} vectors")
        for first in range(0, len(chunks), _BATCH):
            batch = chunks[first : first + _BATCH]
            self._write(
                shelf,
                ids=[chunk.id for chunk in batch],
                embeddings=np.ascontiguousarray(vectors[first : first + _BATCH], dtype=np.float32),
                documents=[chunk.text for chunk in batch],
                metadatas=[metadata_of(chunk, shelf) for chunk in batch],
            )

    def search(
        self, shelf: Shelf, vector: NDArray[np.float32], limit: int, filter: Filter | None = None
    ) -> list[tuple[Chunk, float]]:
        """The nearest chunks with their cosine similarity, best first. Empty for an unknown collection."""
        opened = self._existing(shelf)
        if opened is None or limit < 1:
            return []
        narrowed = narrow(filter, sayable)
        said, looked_at = where(narrowed.filter), limit
        while True:
            found = self._nearest(shelf, opened, vector, looked_at, said)
            passing = found if narrowed.exact else [one for one in found if matches(filter, one[0])]
            if narrowed.exact or len(passing) >= limit or len(found) < looked_at:
                return passing[:limit]
            if looked_at >= _NEAREST:
                return self._nearest_of_all(shelf, opened, vector, limit, filter)
            looked_at *= _MORE

    def nearest(
        self, shelf: Shelf, vector: NDArray[np.float32], limit: int, filter: Filter | None = None
    ) -> list[tuple[str, float]]:
        """The ids of what `search` gives, with the same cosine similarities, best first."""
        opened = self._existing(shelf)
        if opened is None or limit < 1:
            return []
        narrowed = narrow(filter, sayable)
        if not narrowed.exact:
            return [(chunk.id, similarity) for chunk, similarity in self.search(shelf, vector, limit, filter)]
        with opened.reading() as collection, _of_its_dimension(len(vector)):
            found = collection.query(
                query_embeddings=[vector], n_results=limit, where=where(narrowed.filter), include=["distances"]
            )
        return [(chunk_id, 1.0 - distance) for chunk_id, distance in zip(found["ids"][0], found["distances"][0], strict=True)]

    def _nearest(
        self, shelf: Shelf, opened: Any, vector: NDArray[np.float32], limit: int, said: dict[str, Any] | None
    ) -> list[tuple[Chunk, float]]:
        with opened.reading() as collection, _of_its_dimension(len(vector)):
            found = collection.query(
                query_embeddings=[vector], n_results=limit, where=said, include=["documents", "metadatas", "distances"]
            )
        return [
            (chunk_of(chunk_id, text, metadata), 1.0 - distance)
            for chunk_id, text, metadata, distance in zip(
                found["ids"][0], found["documents"][0], found["metadatas"][0], found["distances"][0], strict=True
            )
            # None: it was deleted between Chroma's finding and reading it
            if metadata is not None and is_on(shelf, metadata)
        ]

    def _nearest_of_all(
        self, shelf: Shelf, opened: Any, vector: NDArray[np.float32], limit: int, filter: Filter | None
    ) -> list[tuple[Chunk, float]]:
        """The same from all that pass, each compared: for filters that Chroma cannot say and that let little pass."""
        similarities: dict[str, float] = {}
        for ids in self._passing(shelf, opened, filter):
            similarities |= self.similarities(shelf, vector, ids)
            similarities = dict(heapq.nlargest(limit, similarities.items(), key=lambda found: found[1]))
        return [(chunk, similarities[chunk.id]) for chunk in self.get(shelf, list(similarities))]

    def _passing(self, shelf: Shelf, opened: Any, filter: Filter | None) -> Iterator[list[str]]:
        """The identifiers of all chunks that pass, in parts."""
        narrowed = narrow(filter, sayable)
        with opened.reading() as collection:
            candidates = collection.get(where=where(narrowed.filter), include=[])["ids"]
        for first in range(0, len(candidates), _BATCH):
            ids = candidates[first : first + _BATCH]
            yield ids if narrowed.exact else [chunk.id for chunk in self.get(shelf, ids) if matches(filter, chunk)]

    def get(self, shelf: Shelf, chunk_ids: Sequence[str]) -> list[Chunk]:
        """The chunks that are there, in the order asked for."""
        opened = self._existing(shelf)
        if opened is None or not chunk_ids:
            return []
        with opened.reading() as collection:
            found = collection.get(ids=list(dict.fromkeys(chunk_ids)), include=["documents", "metadatas"])
        by_id = {
            chunk_id: chunk_of(chunk_id, text, metadata)
            for chunk_id, text, metadata in zip(found["ids"], found["documents"], found["metadatas"], strict=True)
            if is_on(shelf, metadata)
        }
        return [by_id[chunk_id] for chunk_id in chunk_ids if chunk_id in by_id]

    def similarities(self, shelf: Shelf, vector: NDArray[np.float32], chunk_ids: Sequence[str]) -> dict[str, float]:
        """The cosine similarity of the named chunks to `vector`; those that are not there are left out."""
        opened = self._existing(shelf)
        if opened is None or not chunk_ids:
            return {}
        with opened.reading() as collection:
            found = read_with_vectors(collection, chunk_ids)
        if not found["ids"]:
            return {}
        matrix = np.asarray(found["embeddings"], dtype=np.float32)
        if matrix.shape[1] != len(vector):
            raise embedding_changed(len(vector))
        cosines = matrix @ vector / np.maximum(np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector), 1e-12)
        return dict(zip(found["ids"], map(float, cosines), strict=True))

    def vectors(self, shelf: Shelf, chunk_ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors of the named chunks; those that are not there are left out."""
        opened = self._existing(shelf)
        if opened is None or not chunk_ids:
            return {}
        with opened.reading() as collection:
            found = read_with_vectors(collection, chunk_ids, "metadatas")
        rows = zip(found["ids"], found["embeddings"], found["metadatas"], strict=True)
        return {chunk_id: np.asarray(vector, dtype=np.float32) for chunk_id, vector, metadata in rows if is_on(shelf, metadata)}

    def stretch(self, shelf: Shelf, document_id: str, revision: int, start: int, end: int) -> list[Chunk]:
        """The chunks of a document's revision that begin in the stretch `[start:end]` of its text."""
        opened = self._existing(shelf)
        if opened is None:
            return []
        # asked for in Chroma's query, revision and start take 320 ms rather than 30 at 12,000 chunks: most chunks have them
        with opened.reading() as collection:
            found = collection.get(where={"document_id": document_id}, include=["metadatas"])
        rows = zip(found["ids"], found["metadatas"], strict=True)
        return self.get(
            shelf, [chunk_id for chunk_id, its in rows if its["revision"] == revision and start <= its["start"] < end]
        )

    def delete_document(self, shelf: Shelf, document_id: str, *, keep_revision: int | None = None) -> None:
        """Delete a document's chunks; those of `keep_revision` stay. No error where there are none."""
        opened = self._existing(shelf)
        if opened is None:
            return
        where: dict[str, Any] = {"document_id": document_id}
        if keep_revision is not None:
            where = {"$and": [where, {"revision": {"$ne": keep_revision}}]}
        # Chroma's delete(where=…) loads what it deletes, documents included: ask for the ids alone
        with opened.changing() as collection:
            ids = collection.get(where=where, include=[])["ids"]
            for first in range(0, len(ids), _BATCH):
                collection.delete(ids=ids[first : first + _BATCH])

    def delete_where(self, shelf: Shelf, filter: Filter) -> int:
        """Delete the chunks that the filter lets pass. How many they were."""
        opened = self._existing(shelf)
        if opened is None:
            return 0
        passing = [chunk_id for ids in self._passing(shelf, opened, filter) for chunk_id in ids]
        with opened.changing() as collection:
            for first in range(0, len(passing), _BATCH):
                collection.delete(ids=passing[first : first + _BATCH])
        return len(passing)

    def delete_collection(self, shelf: Shelf) -> None:
        """Delete all its chunks. No error where there is no such collection."""
        from chromadb.errors import NotFoundError

        if self._existing(shelf) is None:
            return
        with self._lock:
            self._opened.pop(shelf, None)
            try:
                self._client.delete_collection(shelf.collection_id)
            except NotFoundError:
                return

    def scan(self, shelf: Shelf, after: str, limit: int) -> tuple[list[Chunk], Vectors]:
        """The next chunks with their vectors as they were given, by identifier: those behind `after`."""
        opened = self._existing(shelf)
        if opened is None or limit < 1:
            return [], np.empty((0, 0), dtype=np.float32)
        with opened.reading() as collection:
            collection.count()  # brings its tables up to what was written
            ids = self._ids_behind(collection.id, after, limit)
            found = read_with_vectors(collection, ids, "documents", "metadatas") if ids else {"ids": []}
        place = {chunk_id: number for number, chunk_id in enumerate(found["ids"])}
        order = [place[chunk_id] for chunk_id in ids if chunk_id in place]
        chunks = [chunk_of(found["ids"][n], found["documents"][n], found["metadatas"][n]) for n in order]
        vectors = np.asarray(found["embeddings"], dtype=np.float32)[order] if order else np.empty((0, 0), dtype=np.float32)
        return chunks, vectors

    def _ids_behind(self, collection_id: UUID, after: str, limit: int) -> list[str]:
        """Read from Chroma's own table, which has an index for it; its interface gives identifiers in no order (1.5.9)."""
        query = (
            "SELECT embedding_id FROM embeddings WHERE embedding_id > ? AND segment_id = "
            "(SELECT id FROM segments WHERE collection = ? AND scope = 'METADATA') ORDER BY embedding_id LIMIT ?"
        )
        (rows,) = self._asked((query, (after, str(collection_id), limit)))
        return [str(row[0]) for row in rows]

    def count(self, shelf: Shelf, document_id: str | None = None) -> int:
        """How many chunks a collection, or one of its documents, has."""
        opened = self._existing(shelf)
        if opened is None:
            return 0
        with opened.reading() as collection:
            if document_id is None:
                return int(collection.count())
            return len(collection.get(where={"document_id": document_id}, include=[])["ids"])

    def scrub(self) -> None:
        """Write Chroma's database anew, without what was deleted: SQLite leaves it in free pages. Delete the directories of
        vectors that no collection has any more, and clear what is no vector out of the others. Calls meanwhile wait.

        Raises:
            Unavailable: `store_unavailable`: Chroma is writing.
        """
        directories = {path for path in self._path.iterdir() if path.is_dir()}  # before the rows, which come before them
        statements = ("SELECT id FROM segments", _UNQUEUE, "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)")
        with self._lock, self._gate.alone():
            segments, *_ = self._asked(*((statement, ()) for statement in statements), within_s=_SCRUB_S)
        used = {str(row[0]) for row in segments}
        for directory in directories:
            if directory.name not in used:
                shutil.rmtree(directory, ignore_errors=True)
        self._clear_room(used)

    def _clear_room(self, used: Collection[str]) -> None:
        """Clear what is no vector out of every collection's files, those that nobody has opened yet too."""
        with self._lock:  # so that none is opened meanwhile
            opened = list(self._opened.values())
            for name in set(used) - {one.directory.name for one in opened}:
                IndexFiles(self._path / name).clear_room()
        for one in opened:
            one.clear_room()

    def ping(self) -> None:
        """Raises `core.errors.Unavailable` when the store does not answer."""
        try:
            self._client.heartbeat()
        except Exception as error:
            raise Unavailable("The vector store does not answer.", code="store_unavailable") from error

    def close(self) -> None:
        """Release the directory; may be called again."""
        with self._lock:
            self._opened.clear()
            if self._lock_file.is_locked:
                self._client.close()
                self._lock_file.release()

    def _create(self, shelf: Shelf) -> Any:
        return self._client.create_collection(
            shelf.collection_id,
            embedding_function=None,
            metadata={TENANT: shelf.tenant},
            configuration={"hnsw": {"space": "cosine", "ef_construction": 128, "ef_search": 128}},
        )

    def _existing(self, shelf: Shelf, *, create: bool = False) -> Any:
        """The Chroma collection (`OpenCollection`); None where there is none, and where it is another tenant's.

        This is where tenants are kept apart: a Chroma collection is one tenant's, and says whose. (A condition on each chunk
        in the query itself takes 25 ms rather than 3 at 8,000 chunks, and 200 for a `get` of 100.) One of a version that did
        not say it is the tenant's whose collection has that identifier, the first to come.
        """
        from chromadb.errors import NotFoundError

        with self._lock:
            if shelf in self._opened:
                return self._opened[shelf]
            try:
                found = self._client.get_collection(shelf.collection_id, embedding_function=None)
            except NotFoundError:
                if not create:
                    return None
                found = self._create(shelf)
            whose = (found.metadata or {}).get(TENANT)
            if whose is None:
                found.modify(metadata={TENANT: shelf.tenant})
            elif whose != shelf.tenant:
                return None
            return self._opened.setdefault(shelf, OpenCollection(found, self._path / self._index_of(found.id), self._gate))

    def _index_of(self, collection_id: UUID) -> str:
        """The name of the directory where Chroma has a collection's vectors; it is there once there are some."""
        query = "SELECT id FROM segments WHERE collection = ? AND scope = 'VECTOR'"
        ((row,),) = self._asked((query, (str(collection_id),)))
        return str(row[0])

    def _asked(self, *statements: Statement, within_s: float = 3 * _BUSY_WAIT_S) -> list[list[tuple[Any, ...]]]:
        """What Chroma's database says to each statement. Chroma brings a SQLite of its own, so that this process must not open
        the file by Python's.

        Raises:
            Unavailable: `store_unavailable`: Chroma is writing.
        """
        try:
            return execute_apart(self._path / "chroma.sqlite3", *statements, busy_s=_BUSY_WAIT_S, timeout_s=within_s)
        except ChildError as error:
            raise Unavailable("The vector store is busy.", code="store_unavailable") from error

    def _write(self, shelf: Shelf, **rows: Any) -> None:
        opened = self._existing(shelf, create=True)
        if opened is None:
            raise ValueError("the shelf is another tenant's")
        with opened.changing() as collection, _of_its_dimension(rows["embeddings"].shape[1]):
            collection.upsert(**rows)


@contextmanager
def _of_its_dimension(given: int) -> Iterator[None]:
    """Chroma's refusal of another dimension as the platform's."""
    from chromadb.errors import InvalidArgumentError, InvalidDimensionException

    try:
        yield
    except (InvalidArgumentError, InvalidDimensionException) as error:
        if "dimension" not in str(error):
            raise
        raise embedding_changed(given) from error
