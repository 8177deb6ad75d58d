"""Pinecone, serverless: an index for each dimension of vectors, and in it a namespace for each collection id.

Any number of processes may use it at once. What one writes the others find when the call has returned, since it waits until a
query has seen the write (`retrievers.stores.pinecone_client`).
"""

import heapq
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.settings import Settings
from retrievers.base import Chunk, Shelf, Vectors
from retrievers.filters import Compare, Filter, Operator, matches
from retrievers.stores import pinecone_rows as rows
from retrievers.stores.dimensions import cosine, cosines, embedding_changed
from retrievers.stores.pinecone_client import MOST_FOUND, MOST_WITH_METADATA, PineconeIndex, PineconeIndexes, numbers, told
from retrievers.stores.pinecone_words import PineconeWords
from retrievers.stores.scan_lists import ScanLists

Found = TypeVar("Found")

#: Where the filter is checked here, so many times as many are looked at again, up to as many as Pinecone finds; then all.
_MORE = 4
#: Chunks that are read at once to compare them.
_COMPARED = 500


class PineconeStore:
    """`retrievers.base.VectorStore` on Pinecone.

    Raises:
        SettingsError: there is no API key, or Pinecone does not take it.
        Unavailable: it does not answer.
    """

    shareable = True

    def __init__(self, settings: Settings) -> None:
        self._indexes = PineconeIndexes(settings)
        #: The indexes of shelves that are known to be their tenant's.
        self._known: dict[Shelf, PineconeIndex] = {}
        self._lock = threading.Lock()
        self._lists = ScanLists(self._ids)
        self._words = PineconeWords()

    def upsert(self, shelf: Shelf, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Insert or replace by chunk id; may be repeated.

        Raises:
            ValueError: the shelf is another tenant's.
            Conflict: `embedding_changed`, the vectors are of another embedding model.
            UnreadableFile: `chunk_too_large`, a chunk with its attributes is more than Pinecone keeps.
        """
        if len(chunks) != len(vectors):
            raise ValueError(f"{len(chunks)} chunks with {len(vectors)} vectors")
        if not chunks:
            return
        dimension = vectors.shape[1]
        records = [
            {"id": chunk.id, "values": numbers(vector), "metadata": rows.metadata_of(chunk, shelf)}
            for chunk, vector in zip(chunks, np.asarray(vectors, dtype=np.float32), strict=True)
        ]
        with told():
            index = self._look(shelf, writing=True) or self._indexes.of(dimension)
            if index.dimension != dimension:
                raise embedding_changed(dimension)
            index.upsert(shelf.collection_id, records)
            self._words.upsert(self._indexes.of_words(), shelf, chunks)
        with self._lock:
            self._known[shelf] = index

    def search(
        self, shelf: Shelf, vector: NDArray[np.float32], limit: int, filter: Filter | None = None
    ) -> list[tuple[Chunk, float]]:
        """The nearest chunks with their cosine similarity, best first. Empty for an unknown collection."""
        if limit < 1:
            return []
        asked = np.asarray(vector, dtype=np.float32)

        def nearest(index: PineconeIndex) -> list[tuple[Chunk, float]]:
            looked_at = min(limit, MOST_FOUND)
            while True:
                found, how_many = self._nearest(index, shelf, asked, looked_at, filter)
                if len(found) >= limit or how_many < looked_at:
                    return found[:limit]
                if looked_at == MOST_FOUND:
                    return self._nearest_of_all(index, shelf, asked, limit, filter)
                looked_at = min(looked_at * _MORE, MOST_FOUND)

        return self._reading(shelf, nearest, [], dimension=len(asked))

    def _nearest(
        self, index: PineconeIndex, shelf: Shelf, vector: NDArray[np.float32], limit: int, filter: Filter | None
    ) -> tuple[list[tuple[Chunk, float]], int]:
        """Those that pass, and how many were looked at."""
        with_metadata = limit <= MOST_WITH_METADATA
        found = index.query(shelf.collection_id, vector, limit, rows.said(filter), metadata=with_metadata)
        if with_metadata:
            chunks = {one["id"]: rows.chunk_of(one["id"], one["metadata"]) for one in found if _is_on(shelf, one)}
        else:
            chunks = self._chunks(index, shelf, [one["id"] for one in found])
        ranked = [(chunks[one["id"]], float(one["score"])) for one in found if one["id"] in chunks]
        return [one for one in ranked if matches(filter, one[0])], len(found)

    def _nearest_of_all(
        self, index: PineconeIndex, shelf: Shelf, vector: NDArray[np.float32], limit: int, filter: Filter | None
    ) -> list[tuple[Chunk, float]]:
        """The same from all, each compared: for filters that Pinecone cannot say and that let little pass."""
        compared = (
            (chunk, cosine(np.asarray(one["values"], dtype=np.float32), vector))
            for one in self._all(index, shelf)
            if matches(filter, chunk := rows.chunk_of(one["id"], one["metadata"]))
        )
        return heapq.nlargest(limit, compared, key=lambda found: found[1])

    def search_words(self, shelf: Shelf, query: str, limit: int, filter: Filter | None = None) -> list[tuple[str, float]]:
        """The ids of the chunks that share words with the query and pass the filter, with their BM25 score, best first."""

        def search(index: PineconeIndex) -> list[tuple[str, float]]:
            if (words := self._indexes.words()) is None:
                return []
            return self._words.search(
                words,
                shelf,
                query,
                limit,
                filter,
                total=lambda: index.count(shelf.collection_id),
                read=lambda ids: self._chunks(index, shelf, ids),
                passing=lambda: self._passing(index, shelf, filter),
            )

        return self._reading(shelf, search, []) if limit > 0 else []

    def word_weights(self, shelf: Shelf, words: Sequence[str]) -> dict[str, float]:
        """How much each word, as it is compared, tells among the shelf's chunks: its inverse document frequency in nats."""

        def weigh(index: PineconeIndex) -> dict[str, float]:
            there = self._indexes.of_words()
            return self._words.weights(there, shelf, words, lambda: index.count(shelf.collection_id))

        return self._reading(shelf, weigh, dict.fromkeys(words, 0.0))

    def has_attribute(self, shelf: Shelf, name: str) -> bool:
        """Whether any chunk can be filtered by an attribute of that name, whatever its value."""
        named = rows.said(Compare(name, Operator.EXISTS, True))
        return self._reading(shelf, lambda index: bool(index.query(shelf.collection_id, None, 1, named)), False)

    def has_words(self, shelf: Shelf) -> bool:
        """Not where a record is of a version that kept none."""
        without = {rows.WORDED: {"$exists": False}}
        return self._reading(shelf, lambda index: not index.query(shelf.collection_id, None, 1, without), True)

    def get(self, shelf: Shelf, chunk_ids: Sequence[str]) -> list[Chunk]:
        """The chunks that are there, in the order asked for."""
        if not chunk_ids:
            return []
        nothing: dict[str, Chunk] = {}
        found = self._reading(shelf, lambda index: self._chunks(index, shelf, chunk_ids), nothing)
        return [found[chunk_id] for chunk_id in chunk_ids if chunk_id in found]

    def similarities(self, shelf: Shelf, vector: NDArray[np.float32], chunk_ids: Sequence[str]) -> dict[str, float]:
        """The cosine similarity of the named chunks to `vector`; those that are not there are left out."""
        return cosines(self.vectors(shelf, chunk_ids), vector)

    def vectors(self, shelf: Shelf, chunk_ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors of the named chunks; those that are not there are left out."""
        if not chunk_ids:
            return {}
        found = self._named(shelf, chunk_ids)
        return {chunk_id: np.asarray(one["values"], dtype=np.float32) for chunk_id, one in found.items()}

    def stretch(self, shelf: Shelf, document_id: str, revision: int, start: int, end: int) -> list[Chunk]:
        """The chunks of a document's revision that begin in the stretch `[start:end]` of its text."""
        asked = {
            "$and": [
                {"document_id": {"$eq": document_id}},
                {"revision": {"$eq": revision}},
                {"start": {"$gte": start}},
                {"start": {"$lt": end}},
            ]
        }

        def read(index: PineconeIndex) -> list[Chunk]:
            found = index.query(shelf.collection_id, None, MOST_FOUND, asked)
            return list(self._chunks(index, shelf, [one["id"] for one in found]).values())

        return self._reading(shelf, read, [])

    def delete_document(self, shelf: Shelf, document_id: str, *, keep_revision: int | None = None) -> None:
        """Delete a document's chunks; those of `keep_revision` stay. No error where there are none."""
        asked: dict[str, Any] = {"document_id": {"$eq": document_id}}
        if keep_revision is not None:
            asked = {"$and": [asked, {"revision": {"$ne": keep_revision}}]}

        def delete(index: PineconeIndex) -> None:
            while found := [one["id"] for one in index.query(shelf.collection_id, None, MOST_FOUND, asked)]:
                self._delete(index, shelf, found)

        self._reading(shelf, delete, None)

    def delete_where(self, shelf: Shelf, filter: Filter) -> int:
        """Delete the chunks that the filter lets pass. How many they were."""

        def delete(index: PineconeIndex) -> int:
            passing = [chunk.id for chunk in self._passing(index, shelf, filter)]
            self._delete(index, shelf, passing)
            return len(passing)

        return self._reading(shelf, delete, 0)

    def delete_collection(self, shelf: Shelf) -> None:
        """Delete all its chunks. No error where there is no such collection."""
        with told():
            index = self._look(shelf)
            if index is not None:
                if (words := self._indexes.words()) is not None:
                    words.clear(shelf.collection_id)
                index.clear(shelf.collection_id)
        self._words.forget(shelf)
        self._forget(shelf)

    def _delete(self, index: PineconeIndex, shelf: Shelf, ids: Sequence[str]) -> None:
        """The words first: what is found by nothing else would not be found again to be deleted."""
        if (words := self._indexes.words()) is not None:
            words.delete(shelf.collection_id, ids)
        index.delete(shelf.collection_id, ids)
        self._words.forget(shelf)

    def scan(self, shelf: Shelf, after: str, limit: int) -> tuple[list[Chunk], Vectors]:
        """The next chunks with their vectors as they were given, by identifier: those behind `after`."""
        chunks: list[Chunk] = []
        vectors: list[NDArray[np.float32]] = []
        while len(chunks) < limit and (ids := self._lists.behind(shelf, after, limit - len(chunks))):
            after = ids[-1]
            found = self._named(shelf, ids)
            some = [found[chunk_id] for chunk_id in ids if chunk_id in found]
            chunks += [rows.chunk_of(one["id"], one["metadata"]) for one in some]
            vectors += [np.asarray(one["values"], dtype=np.float32) for one in some]
        return chunks, np.stack(vectors) if vectors else np.empty((0, 0), dtype=np.float32)

    def _ids(self, shelf: Shelf) -> Iterable[str]:
        return self._reading(shelf, lambda index: list(index.ids(shelf.collection_id)), [])

    def count(self, shelf: Shelf, document_id: str | None = None) -> int:
        """How many chunks a collection, or one of its documents, has."""

        def counted(index: PineconeIndex) -> int:
            if document_id is None:
                return index.count(shelf.collection_id)
            found = len(index.query(shelf.collection_id, None, MOST_FOUND, {"document_id": {"$eq": document_id}}))
            if found < MOST_FOUND:
                return found
            return sum(1 for _ in self._passing(index, shelf, Compare("document_id", Operator.EQ, document_id)))

        return self._reading(shelf, counted, 0)

    def scrub(self) -> None:
        """Nothing: how long Pinecone's storage holds what was deleted is Pinecone's."""

    def ping(self) -> None:
        """Raises `core.errors.Unavailable` when the store does not answer."""
        with told():
            self._indexes.all()

    def close(self) -> None:
        """Close the connections; may be called again."""
        self._indexes.close()

    def _named(self, shelf: Shelf, chunk_ids: Sequence[str]) -> dict[str, Any]:
        nothing: dict[str, Any] = {}
        return self._reading(shelf, lambda index: self._records(index, shelf, chunk_ids), nothing)

    def _records(self, index: PineconeIndex, shelf: Shelf, chunk_ids: Sequence[str]) -> dict[str, Any]:
        found = index.fetch(shelf.collection_id, list(dict.fromkeys(chunk_ids)))
        return {chunk_id: one for chunk_id, one in found.items() if _is_on(shelf, one)}

    def _chunks(self, index: PineconeIndex, shelf: Shelf, chunk_ids: Sequence[str]) -> dict[str, Chunk]:
        found = self._records(index, shelf, chunk_ids)
        return {chunk_id: rows.chunk_of(chunk_id, one["metadata"]) for chunk_id, one in found.items()}

    def _all(self, index: PineconeIndex, shelf: Shelf) -> Iterator[Any]:
        """Every record."""
        ids = list(index.ids(shelf.collection_id))
        for first in range(0, len(ids), _COMPARED):
            yield from self._records(index, shelf, ids[first : first + _COMPARED]).values()

    def _passing(self, index: PineconeIndex, shelf: Shelf, filter: Filter | None) -> Iterator[Chunk]:
        """Every chunk that passes."""
        found = index.query(shelf.collection_id, None, MOST_FOUND, rows.said(filter))
        if len(found) < MOST_FOUND:
            candidates: Iterable[Any] = self._records(index, shelf, [one["id"] for one in found]).values()
        else:
            candidates = self._all(index, shelf)
        for one in candidates:
            chunk = rows.chunk_of(one["id"], one["metadata"])
            if matches(filter, chunk):
                yield chunk

    def _reading(
        self, shelf: Shelf, work: Callable[[PineconeIndex], Found], nothing: Found, *, dimension: int | None = None
    ) -> Found:
        """Work on the index that has the shelf; `nothing` where none has.

        Raises:
            Conflict: `embedding_changed`, its vectors have another dimension.
        """
        with told():
            index = self._known.get(shelf)
            if index is None or dimension not in (None, index.dimension):
                index = self._look(shelf)
            if index is None:
                return nothing
            if dimension not in (None, index.dimension):
                raise embedding_changed(dimension or 0)
            return work(index)

    def _look(self, shelf: Shelf, *, writing: bool = False) -> PineconeIndex | None:
        """The index where the shelf has something. None where none has, and where that is another tenant's.

        Raises:
            ValueError: `writing`, and it is another tenant's.
        """
        self._forget(shelf)
        for index in self._indexes.all():
            found = index.query(shelf.collection_id, None, 1, metadata=True)
            if not found:
                continue
            if not _is_on(shelf, found[0]):
                if writing:
                    raise ValueError("the shelf is another tenant's")
                return None
            with self._lock:
                self._known[shelf] = index
            return index
        return None

    def _forget(self, shelf: Shelf) -> None:
        with self._lock:
            self._known.pop(shelf, None)


def _is_on(shelf: Shelf, found: Any) -> bool:
    return bool(found["metadata"]["tenant"] == shelf.tenant)
