"""Qdrant: one Qdrant collection for each dimension of vectors, in which every query names tenant and collection.

Each chunk has a sparse vector beside its dense one, so that Qdrant finds words as well (`retrievers.base.FindsWords`). Embedded
it is Qdrant's own engine in the data directory, for one process; the server is for any number of them.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.settings import Settings
from retrievers.base import Chunk, Shelf, Vectors
from retrievers.filters import Filter, matches, narrow
from retrievers.stores.dimensions import embedding_changed
from retrievers.stores.qdrant_engine import Engine, WordQuery
from retrievers.stores.qdrant_filter import condition, sayable
from retrievers.stores.qdrant_points import Condition, Found, Point, chunk_of, equal, named, on, payload_of, point_id
from retrievers.stores.scan_lists import ScanLists
from retrievers.word_vectors import WordVectors, indices_of

#: Points of one call, and identifiers.
_BATCH, _PAGE = 256, 5000
#: Where the filter is checked here, so many times as many are looked at again, up to the best that many; then all that Qdrant
#: says pass are gone through, a batch after the other.
_MORE, _NEAREST = 4, 4096
_WORDS_AT_ONCE = 64


class QdrantStore:
    """`retrievers.base.VectorStore` on Qdrant's engine in the data directory.

    Raises:
        Conflict: `store_not_shareable`: another store has the directory open.
    """

    shareable = False

    def __init__(self, settings: Settings) -> None:
        self._engine = self._opened(settings)
        self._lists = ScanLists(self._ids)
        self._words = WordVectors()

    def _opened(self, settings: Settings) -> Engine:
        from retrievers.stores.qdrant_edge import EdgeEngine

        return EdgeEngine(settings)

    def upsert(self, shelf: Shelf, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Insert or replace by chunk id; may be repeated.

        Raises:
            ValueError: the shelf is another tenant's.
            Conflict: `embedding_changed`, the vectors are of another embedding model.
        """
        if len(chunks) != len(vectors):
            raise ValueError(f"{len(chunks)} chunks with {len(vectors)} vectors")
        if not chunks:
            return
        dimension = vectors.shape[1]
        self._refuse(shelf, dimension)
        self._engine.make(dimension)
        for first in range(0, len(chunks), _BATCH):
            batch = zip(chunks[first : first + _BATCH], vectors[first : first + _BATCH], strict=True)
            points = [
                Point(point_id(shelf, chunk.id), vector.tolist(), self._words.of(chunk), payload_of(chunk, shelf))
                for chunk, vector in batch
            ]
            self._engine.upsert(dimension, points)

    def search(
        self, shelf: Shelf, vector: NDArray[np.float32], limit: int, filter: Filter | None = None
    ) -> list[tuple[Chunk, float]]:
        """The nearest chunks with their cosine similarity, best first. Empty for an unknown collection."""
        dimension, asked = len(vector), np.asarray(vector, dtype=np.float32).tolist()
        found = self._passing(
            shelf, limit, filter, lambda number, passing: self._engine.nearest(dimension, asked, number, passing)
        )
        if found is None:
            found = self._best_of_all(shelf, limit, filter, lambda ids: self.similarities(shelf, vector, ids))
        if not found:
            self._refuse_dimension(shelf, dimension)
        return found

    def search_words(self, shelf: Shelf, query: str, limit: int, filter: Filter | None = None) -> list[tuple[str, float]]:
        """The ids of the chunks that share words with the query and pass the filter, with their BM25 score, best first."""
        words = self._words.asked(query)
        if not words[0]:
            return []
        found: list[tuple[str, float]] = []
        for dimension in self._engine.places():

            def ask(number: int, passing: Condition, dimension: int = dimension) -> list[Found]:
                return self._engine.by_words(dimension, [WordQuery(words, number, passing, corpus=on(shelf))])[0]

            def weigh(ids: Sequence[str], ask: Callable[[int, Condition], list[Found]] = ask) -> dict[str, float]:
                return {one.payload["chunk"]: one.score for one in ask(len(ids), on(shelf, named(shelf, ids)))}

            best = self._passing(shelf, limit, filter, ask)
            if best is None:
                best = self._best_of_all(shelf, limit, filter, weigh)
            found += [(chunk.id, score) for chunk, score in best]
        return sorted(found, key=lambda one: (-one[1], one[0]))[:limit]

    def word_weights(self, shelf: Shelf, words: Sequence[str]) -> dict[str, float]:
        """How much each word, as it is compared, tells among the shelf's chunks: its inverse document frequency in nats."""
        total = self.count(shelf)
        if not total:
            return dict.fromkeys(words, 0.0)
        weighed = dict.fromkeys(words, math.log(1 + (total + 0.5) / 0.5))
        corpus = on(shelf)
        for dimension in self._engine.places():
            for first in range(0, len(words), _WORDS_AT_ONCE):
                # what one word scores, held against the value that the best chunk has for it
                asked = [(word, index) for word in words[first : first + _WORDS_AT_ONCE] for index in indices_of(word)]
                queries = [WordQuery(([index], [1.0]), 1, corpus, corpus, with_words=True) for _, index in asked]
                for (word, index), found in zip(asked, self._engine.by_words(dimension, queries), strict=True):
                    if found and found[0].words is not None and index in found[0].words[0]:
                        value = dict(zip(*found[0].words, strict=True))[index]
                        weighed[word] = min(weighed[word], found[0].score / value)
        return weighed

    def has_attribute(self, shelf: Shelf, name: str) -> bool:
        """Whether any chunk can be filtered by an attribute of that name, whatever its value."""
        asked = on(shelf, equal("named", name))
        return any(self._engine.page(dimension, asked, 1, bare=True)[0] for dimension in self._engine.places())

    def has_words(self, shelf: Shelf) -> bool:
        """It always has: each point was written with them."""
        return True

    def get(self, shelf: Shelf, chunk_ids: Sequence[str]) -> list[Chunk]:
        """The chunks that are there, in the order asked for."""
        found = {chunk.id: chunk for chunk in map(chunk_of, self._payloads(shelf, chunk_ids))}
        return [found[chunk_id] for chunk_id in chunk_ids if chunk_id in found]

    def similarities(self, shelf: Shelf, vector: NDArray[np.float32], chunk_ids: Sequence[str]) -> dict[str, float]:
        """The cosine similarity of the named chunks to `vector`; those that are not there are left out."""
        if not chunk_ids:
            return {}
        dimension, passing = len(vector), on(shelf, named(shelf, chunk_ids))
        asked = np.asarray(vector, dtype=np.float32).tolist()
        found = self._engine.nearest(dimension, asked, len(chunk_ids), passing, exact=True)
        if not found:
            self._refuse_dimension(shelf, dimension)
        return {one.payload["chunk"]: one.score for one in found}

    def vectors(self, shelf: Shelf, chunk_ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors of the named chunks, L2-normalised; those that are not there are left out."""
        return {one.payload["chunk"]: _array(one) for one in self._named(shelf, chunk_ids, vectors=True)}

    def stretch(self, shelf: Shelf, document_id: str, revision: int, start: int, end: int) -> list[Chunk]:
        """The chunks of a document's revision that begin in the stretch `[start:end]` of its text."""
        within: Condition = {"key": "start", "range": {"gte": start, "lt": end}}
        asked = on(shelf, equal("document_id", document_id), equal("revision", revision), within)
        return [chunk_of(one.payload) for one in self._every(asked, _BATCH)]

    def delete_document(self, shelf: Shelf, document_id: str, *, keep_revision: int | None = None) -> None:
        """Delete a document's chunks; those of `keep_revision` stay. No error where there are none."""
        others: list[Condition] = [] if keep_revision is None else [{"must_not": [equal("revision", keep_revision)]}]
        self._delete(on(shelf, equal("document_id", document_id), *others))

    def delete_where(self, shelf: Shelf, filter: Filter) -> int:
        """Delete the chunks that the filter lets pass. How many they were."""
        narrowed = narrow(filter, sayable)
        passing = on(shelf, *([] if narrowed.filter is None else [condition(narrowed.filter)]))
        if narrowed.exact:
            count = sum(self._engine.count(dimension, passing) for dimension in self._engine.places())
            self._delete(passing)
            return count
        ids = [chunk.id for chunk in (chunk_of(one.payload) for one in self._every(passing, _BATCH)) if matches(filter, chunk)]
        for first in range(0, len(ids), _BATCH):
            self._delete(on(shelf, named(shelf, ids[first : first + _BATCH])))
        return len(ids)

    def delete_collection(self, shelf: Shelf) -> None:
        """Delete all its chunks. No error where there is no such collection."""
        self._delete(on(shelf))

    def scan(self, shelf: Shelf, after: str, limit: int) -> tuple[list[Chunk], Vectors]:
        """The next chunks with their vectors, by identifier: those behind `after`."""
        chunks: list[Chunk] = []
        vectors: list[NDArray[np.float32]] = []
        while len(chunks) < limit and (ids := self._lists.behind(shelf, after, limit - len(chunks))):
            after = ids[-1]
            some = sorted(self._named(shelf, ids, vectors=True), key=lambda one: str(one.payload["chunk"]))
            chunks += [chunk_of(one.payload) for one in some]
            vectors += [_array(one) for one in some]
        return chunks, np.stack(vectors) if vectors else np.empty((0, 0), dtype=np.float32)

    def count(self, shelf: Shelf, document_id: str | None = None) -> int:
        """How many chunks a collection, or one of its documents, has."""
        asked = on(shelf, *([] if document_id is None else [equal("document_id", document_id)]))
        return sum(self._engine.count(dimension, asked) for dimension in self._engine.places())

    def scrub(self) -> None:
        """Write the files anew that something was deleted from, without it. A server's are its operator's.

        Raises:
            Unavailable: `store_unavailable`: not now.
        """
        self._engine.scrub()

    def ping(self) -> None:
        """Raises `core.errors.Unavailable` when the store does not answer."""
        self._engine.ping()

    def close(self) -> None:
        """Close the files or connections; may be called again."""
        self._engine.close()

    def _refuse(self, shelf: Shelf, dimension: int) -> None:
        """Raises where the collection is another tenant's, or has vectors of another dimension."""
        theirs: Condition = {
            "must": [equal("collection", shelf.collection_id)],
            "must_not": [equal("tenant", shelf.tenant)],
        }
        for place in self._engine.places():
            if self._engine.page(place, theirs, 1, bare=True)[0]:
                raise ValueError("the shelf is another tenant's")
        self._refuse_dimension(shelf, dimension)

    def _refuse_dimension(self, shelf: Shelf, dimension: int) -> None:
        for place in self._engine.places():
            if place != dimension and self._engine.page(place, on(shelf), 1, bare=True)[0]:
                raise embedding_changed(dimension)

    def _passing(
        self,
        shelf: Shelf,
        limit: int,
        filter: Filter | None,
        ask: Callable[[int, Condition], list[Found]],
    ) -> list[tuple[Chunk, float]] | None:
        """The best that pass, asking for more while too few of what Qdrant says passes do; None where it would take a look at
        more than `_NEAREST`."""
        if limit < 1:
            return []
        narrowed = narrow(filter, sayable)
        passing = on(shelf, *([] if narrowed.filter is None else [condition(narrowed.filter)]))
        looked_at = limit
        while True:
            found = [(chunk_of(one.payload), one.score) for one in ask(looked_at, passing)]
            enough = narrowed.exact or len(found) < looked_at
            if not narrowed.exact:
                found = [one for one in found if matches(filter, one[0])]
            if enough or len(found) >= limit:
                return found[:limit]
            if looked_at >= _NEAREST:
                return None
            looked_at *= _MORE

    def _best_of_all(
        self, shelf: Shelf, limit: int, filter: Filter | None, score: Callable[[Sequence[str]], dict[str, float]]
    ) -> list[tuple[Chunk, float]]:
        """The same from all that pass, each scored: for filters that Qdrant cannot say and that let little pass."""
        narrowed = narrow(filter, sayable)
        passing = on(shelf, *([] if narrowed.filter is None else [condition(narrowed.filter)]))
        chunks = (chunk for chunk in (chunk_of(one.payload) for one in self._every(passing, _BATCH)) if matches(filter, chunk))
        found: list[tuple[Chunk, float]] = []
        while some := list(islice(chunks, _BATCH)):
            scores = score([chunk.id for chunk in some])
            found += [(chunk, scores[chunk.id]) for chunk in some if chunk.id in scores]
            found = sorted(found, key=lambda one: -one[1])[:limit]
        return found

    def _ids(self, shelf: Shelf) -> Iterable[str]:
        return (one.payload["chunk"] for one in self._every(on(shelf), _PAGE, bare=True))

    def _named(self, shelf: Shelf, chunk_ids: Sequence[str], *, vectors: bool = False) -> list[Found]:
        if not chunk_ids:
            return []
        asked = on(shelf, named(shelf, chunk_ids))
        return list(self._every(asked, len(chunk_ids), vectors=vectors))

    def _payloads(self, shelf: Shelf, chunk_ids: Sequence[str]) -> list[Mapping[str, Any]]:
        return [one.payload for one in self._named(shelf, chunk_ids)]

    def _every(self, passing: Condition, at_once: int, *, vectors: bool = False, bare: bool = False) -> Iterable[Found]:
        """All that pass, wherever they are."""
        for dimension in self._engine.places():
            after: str | None = None
            while True:
                found, after = self._engine.page(dimension, passing, at_once, after, vectors=vectors, bare=bare)
                yield from found
                if after is None:
                    break

    def _delete(self, passing: Condition) -> None:
        for dimension in self._engine.places():
            self._engine.delete(dimension, passing)


class QdrantServerStore(QdrantStore):
    """`retrievers.base.VectorStore` on a Qdrant server.

    Raises:
        SettingsError: no server is named, or it is too old.
        Unavailable: it does not answer.
    """

    shareable = True

    def _opened(self, settings: Settings) -> Engine:
        from retrievers.stores.qdrant_remote import RemoteEngine

        return RemoteEngine(settings)


def _array(found: Found) -> NDArray[np.float32]:
    return np.asarray(found.dense, dtype=np.float32)
