"""Weaviate: one collection of its own for all chunks, and in it a tenant for each collection id, with an index of its own.

Any number of processes may use it at once. What one writes the others find when the call has returned: writes and reads are by
most of the replicas, where there are several. The wire is REST for what is rare, gRPC for chunks.
"""

import heapq
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.errors import Unavailable
from core.settings import Settings
from retrievers.base import Chunk, Shelf, Vectors
from retrievers.filters import Compare, Filter, Operator, matches
from retrievers.stores import weaviate_rows as rows
from retrievers.stores.dimensions import cosine, cosines, embedding_changed
from retrievers.stores.scan_lists import ScanLists
from retrievers.stores.weaviate_client import connect, told
from retrievers.stores.weaviate_words import WordSearch, are_whole, weights
from retrievers.word_vectors import WordVectors

if TYPE_CHECKING:
    from weaviate.collections import Collection as WeaviateCollection

Found = TypeVar("Found")

#: Objects of one call: of writing, and of reading with their vectors.
_BATCH = 500
#: A server's `QUERY_MAXIMUM_RESULTS`, unless it has another one: so many objects one query finds, and one deletion deletes.
_MOST_FOUND = 10_000
#: Where the filter is checked here, so many times as many are looked at again, up to the nearest that many; then all.
_MORE, _NEAREST = 4, 4096


class WeaviateStore:
    """`retrievers.base.VectorStore` on a Weaviate server.

    Raises:
        SettingsError: no server is named, it is too old, or it does not take the API key.
        Unavailable: it does not answer.
    """

    shareable = True

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings)
        self._name = settings.retrieval.weaviate_collection
        #: The dimension of the vectors of shelves that are known to be their tenant's.
        self._known: dict[Shelf, int] = {}
        self._lock = threading.Lock()
        self._lists = ScanLists(self._ids)
        self._words = WordVectors()
        try:
            with told():
                if not self._client.collections.exists(self._name):
                    self._make()
                else:
                    rows.add_words(self._client, self._name)
                self._client.collections.use(self._name).tenants.get_by_names(["none"])  # by gRPC
        except BaseException:
            self._client.close()
            raise

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
        with told():
            for last in (False, True):
                self._fits(shelf, dimension, writing=True)
                if all(self._write(shelf, chunks, vectors)):
                    break
                self._forget(shelf)
                self._fits(shelf, dimension, writing=True)
                if last or shelf in self._known:
                    raise Unavailable("The vector store does not keep what it is given.", code="store_unavailable")
                # an index whose vectors have all been deleted still has their dimension
                self._client.collections.use(self._name).tenants.remove([shelf.collection_id])
        with self._lock:
            self._known[shelf] = dimension

    def _write(self, shelf: Shelf, chunks: Sequence[Chunk], vectors: Vectors) -> Iterator[bool]:
        from weaviate.classes.data import DataObject
        from weaviate.exceptions import WeaviateInsertManyAllFailedError

        written = self._tenant(shelf)
        for first in range(0, len(chunks), _BATCH):
            objects = [
                DataObject(
                    uuid=rows.object_id(chunk.id),
                    properties=rows.properties_of(chunk, shelf, self._words.words),
                    vector={rows.VECTOR: np.asarray(vector, dtype=np.float32).tolist()},
                )
                for chunk, vector in zip(chunks[first : first + _BATCH], vectors[first : first + _BATCH], strict=True)
            ]
            try:
                yield not written.data.insert_many(objects).has_errors
            except WeaviateInsertManyAllFailedError:
                yield False

    def search(
        self, shelf: Shelf, vector: NDArray[np.float32], limit: int, filter: Filter | None = None
    ) -> list[tuple[Chunk, float]]:
        """The nearest chunks with their cosine similarity, best first. Empty for an unknown collection."""
        if limit < 1:
            return []
        asked = np.asarray(vector, dtype=np.float32)

        def nearest() -> list[tuple[Chunk, float]]:
            looked_at = min(limit, _MOST_FOUND)
            while True:
                found = self._nearest(shelf, asked, looked_at, filter)
                passing = [one for one in found if matches(filter, one[0])]
                if len(passing) >= limit or len(found) < looked_at:
                    return passing[:limit]
                if looked_at >= max(_NEAREST, limit) or looked_at >= _MOST_FOUND:
                    return self._nearest_of_all(shelf, asked, limit, filter)
                looked_at = min(looked_at * _MORE, _MOST_FOUND)

        return self._reading(shelf, nearest, [], dimension=len(asked))

    def _nearest(
        self, shelf: Shelf, vector: NDArray[np.float32], limit: int, filter: Filter | None
    ) -> list[tuple[Chunk, float]]:
        from weaviate.classes.query import MetadataQuery

        found = self._tenant(shelf).query.near_vector(
            vector.tolist(),
            target_vector=rows.VECTOR,
            limit=limit,
            filters=rows.said(filter),
            return_properties=list(rows.PROPERTIES),
            return_metadata=MetadataQuery(distance=True),
        )
        return [
            (rows.chunk_of(one.properties), 1.0 - float(one.metadata.distance or 0.0))
            for one in found.objects
            if one.properties["tenant"] == shelf.tenant
        ]

    def _nearest_of_all(
        self, shelf: Shelf, vector: NDArray[np.float32], limit: int, filter: Filter | None
    ) -> list[tuple[Chunk, float]]:
        """The same from all, each compared: for filters that Weaviate cannot say and that let little pass."""
        compared = (
            (chunk, cosine(_vector(one), vector))
            for one in self._all(shelf, vectors=True)
            if matches(filter, chunk := rows.chunk_of(one.properties))
        )
        return heapq.nlargest(limit, compared, key=lambda found: found[1])

    def search_words(self, shelf: Shelf, query: str, limit: int, filter: Filter | None = None) -> list[tuple[str, float]]:
        """The ids of the chunks that share words with the query and pass the filter, with their BM25 score, best first."""
        words = self._words.counted(query)
        if limit < 1 or not words:
            return []
        search = WordSearch(self._tenant(shelf), shelf, words, lambda: self._all(shelf))
        return self._reading(shelf, lambda: search.best(min(limit, _MOST_FOUND), filter), [])

    def word_weights(self, shelf: Shelf, words: Sequence[str]) -> dict[str, float]:
        """How much each word, as it is compared, tells among the shelf's chunks: its inverse document frequency in nats."""
        nothing = dict.fromkeys(words, 0.0)
        total = self.count(shelf)
        return self._reading(shelf, lambda: weights(self._tenant(shelf), words, total) if total else nothing, nothing)

    def has_attribute(self, shelf: Shelf, name: str) -> bool:
        """Whether any chunk can be filtered by an attribute of that name, whatever its value."""
        named = rows.said(Compare(name, Operator.EXISTS, True))
        return self._reading(shelf, lambda: bool(self._found(shelf, named, limit=1)), False)

    def has_words(self, shelf: Shelf) -> bool:
        """Not where an object is of a version that kept none."""
        return self._reading(shelf, lambda: are_whole(self._tenant(shelf)), True)

    def get(self, shelf: Shelf, chunk_ids: Sequence[str]) -> list[Chunk]:
        """The chunks that are there, in the order asked for."""
        found = {one.properties["chunk_id"]: rows.chunk_of(one.properties) for one in self._named(shelf, chunk_ids)}
        return [found[chunk_id] for chunk_id in chunk_ids if chunk_id in found]

    def similarities(self, shelf: Shelf, vector: NDArray[np.float32], chunk_ids: Sequence[str]) -> dict[str, float]:
        """The cosine similarity of the named chunks to `vector`; those that are not there are left out."""
        return cosines(self.vectors(shelf, chunk_ids), vector)

    def vectors(self, shelf: Shelf, chunk_ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors of the named chunks; those that are not there are left out."""
        return {one.properties["chunk_id"]: _vector(one) for one in self._named(shelf, chunk_ids, vectors=True)}

    def stretch(self, shelf: Shelf, document_id: str, revision: int, start: int, end: int) -> list[Chunk]:
        """The chunks of a document's revision that begin in the stretch `[start:end]` of its text."""
        from weaviate.classes.query import Filter as Asked

        asked = Asked.all_of(
            [
                Asked.by_property("document_id").equal(document_id),
                Asked.by_property("revision").equal(revision),
                Asked.by_property("start").greater_or_equal(start),
                Asked.by_property("start").less_than(end),
            ]
        )
        return self._reading(shelf, lambda: [rows.chunk_of(one.properties) for one in self._found(shelf, asked)], [])

    def delete_document(self, shelf: Shelf, document_id: str, *, keep_revision: int | None = None) -> None:
        """Delete a document's chunks; those of `keep_revision` stay. No error where there are none."""
        from weaviate.classes.query import Filter as Asked

        which = Asked.by_property("document_id").equal(document_id)
        if keep_revision is not None:
            which = Asked.all_of([which, Asked.by_property("revision").not_equal(keep_revision)])
        self._reading(shelf, lambda: self._delete(shelf, which), 0)

    def delete_where(self, shelf: Shelf, filter: Filter) -> int:
        """Delete the chunks that the filter lets pass. How many they were."""
        from weaviate.classes.query import Filter as Asked

        def delete() -> int:
            found = self._found(shelf, rows.said(filter))
            candidates = found if len(found) < _MOST_FOUND else self._all(shelf)
            passing = [one.uuid for one in candidates if matches(filter, rows.chunk_of(one.properties))]
            parts = [passing[first : first + _BATCH] for first in range(0, len(passing), _BATCH)]
            return sum(self._delete(shelf, Asked.by_id().contains_any(part)) for part in parts)

        return self._reading(shelf, delete, 0)

    def delete_collection(self, shelf: Shelf) -> None:
        """Delete all its chunks. No error where there is no such collection."""

        with told():
            if self._look(shelf) or (self._is_there(shelf) and self._first(shelf) is None):
                self._client.collections.use(self._name).tenants.remove([shelf.collection_id])
        self._forget(shelf)

    def scan(self, shelf: Shelf, after: str, limit: int) -> tuple[list[Chunk], Vectors]:
        """The next chunks with their vectors as they were given, by identifier: those behind `after`."""
        chunks: list[Chunk] = []
        vectors: list[NDArray[np.float32]] = []
        while len(chunks) < limit and (ids := self._lists.behind(shelf, after, limit - len(chunks))):
            after = ids[-1]
            found = {one.properties["chunk_id"]: one for one in self._named(shelf, ids, vectors=True)}
            chunks += [rows.chunk_of(found[chunk_id].properties) for chunk_id in ids if chunk_id in found]
            vectors += [_vector(found[chunk_id]) for chunk_id in ids if chunk_id in found]
        return chunks, np.stack(vectors) if vectors else np.empty((0, 0), dtype=np.float32)

    def _ids(self, shelf: Shelf) -> Iterable[str]:
        return self._reading(
            shelf, lambda: [one.properties["chunk_id"] for one in self._all(shelf, properties=("tenant", "chunk_id"))], []
        )

    def count(self, shelf: Shelf, document_id: str | None = None) -> int:
        """How many chunks a collection, or one of its documents, has."""
        from weaviate.classes.query import Filter as Asked

        which = None if document_id is None else Asked.by_property("document_id").equal(document_id)
        counted = self._tenant(shelf).aggregate.over_all
        return self._reading(shelf, lambda: int(counted(total_count=True, filters=which).total_count or 0), 0)

    def scrub(self) -> None:
        """Nothing: the server's files are its operator's. It lets go of deleted objects when it next merges their segments."""

    def ping(self) -> None:
        """Raises `core.errors.Unavailable` when the store does not answer, by REST or by gRPC."""
        with told():
            self._client.collections.use(self._name).tenants.get_by_names(["none"])
            if not self._client.is_ready():
                raise Unavailable("The vector store does not answer.", code="store_unavailable")

    def close(self) -> None:
        """Close the connections; may be called again."""
        self._client.close()

    def _make(self) -> None:
        from weaviate.exceptions import UnexpectedStatusCodeError

        try:
            rows.make_collection(self._client, self._name)
        except UnexpectedStatusCodeError:
            if not self._client.collections.exists(self._name):  # or another process was first
                raise

    def _tenant(self, shelf: Shelf) -> "WeaviateCollection[Any, Any]":
        from weaviate.classes.config import ConsistencyLevel

        collection = self._client.collections.use(self._name).with_consistency_level(ConsistencyLevel.QUORUM)
        return collection.with_tenant(shelf.collection_id)

    def _found(self, shelf: Shelf, asked: Any, *, vectors: bool = False, limit: int | None = None) -> list[Any]:
        """The objects that a condition lets pass, and that are the tenant's."""
        found = self._tenant(shelf).query.fetch_objects(
            filters=asked, limit=limit or _MOST_FOUND, include_vector=vectors, return_properties=list(rows.PROPERTIES)
        )
        return [one for one in found.objects if one.properties["tenant"] == shelf.tenant]

    def _named(self, shelf: Shelf, chunk_ids: Sequence[str], *, vectors: bool = False) -> list[Any]:
        from weaviate.classes.query import Filter as Asked

        ids = [rows.object_id(chunk_id) for chunk_id in dict.fromkeys(chunk_ids)]
        parts = [ids[first : first + _BATCH] for first in range(0, len(ids), _BATCH)]
        return self._reading(
            shelf,
            lambda: [one for part in parts for one in self._found(shelf, Asked.by_id().contains_any(part), vectors=vectors)],
            [],
        )

    def _all(self, shelf: Shelf, *, vectors: bool = False, properties: Sequence[str] = rows.PROPERTIES) -> Iterator[Any]:
        """Every object; a condition cannot be asked for beside."""
        for one in self._tenant(shelf).iterator(include_vector=vectors, return_properties=list(properties), cache_size=_BATCH):
            if one.properties["tenant"] == shelf.tenant:
                yield one

    def _delete(self, shelf: Shelf, which: Any) -> int:
        """Delete what a condition lets pass: a call deletes no more than a query finds."""
        deleted = 0
        while True:
            done = self._tenant(shelf).data.delete_many(which)
            if done.failed:
                raise Unavailable("The vector store does not delete what it is told to.", code="store_unavailable")
            deleted += done.successful
            if not done.successful:
                return deleted

    def _reading(self, shelf: Shelf, work: Callable[[], Found], nothing: Found, *, dimension: int | None = None) -> Found:
        """Work on a shelf that has something; `nothing` where it has not, and where it is gone meanwhile.

        Raises:
            Conflict: `embedding_changed`, its vectors have another dimension.
        """
        from weaviate.exceptions import WeaviateBaseError

        with told():
            try:
                return work() if self._fits(shelf, dimension) else nothing
            except WeaviateBaseError:
                self._forget(shelf)
                if self._is_there(shelf):
                    if not self._fits(shelf, dimension):
                        return nothing
                    raise
                return nothing

    def _fits(self, shelf: Shelf, dimension: int | None, *, writing: bool = False) -> bool:
        """Whether there is something on the shelf.

        Raises:
            Conflict: `embedding_changed`, its vectors have another dimension.
            ValueError: `writing`, and the shelf is another tenant's.
        """
        known = self._known.get(shelf)
        if known is None or dimension not in (None, known):
            known = self._look(shelf, writing=writing)
        if None not in (known, dimension) and known != dimension:
            raise embedding_changed(dimension or 0)
        return known is not None

    def _look(self, shelf: Shelf, *, writing: bool = False) -> int | None:
        """The dimension of what is on the shelf. None where nothing is, and where it is another tenant's."""
        self._forget(shelf)
        if not self._is_there(shelf):
            return None
        found = self._first(shelf)
        if found is None:
            return None
        if found.properties["tenant"] != shelf.tenant:
            if writing:
                raise ValueError("the shelf is another tenant's")
            return None
        dimension = len(_vector(found))
        with self._lock:
            self._known[shelf] = dimension
        return dimension

    def _first(self, shelf: Shelf) -> Any:
        """Some object that is there; None where there is none."""
        found = self._tenant(shelf).query.fetch_objects(limit=1, include_vector=True, return_properties=["tenant"])
        return next(iter(found.objects), None)

    def _is_there(self, shelf: Shelf) -> bool:
        return bool(self._client.collections.use(self._name).tenants.get_by_names([shelf.collection_id]))

    def _forget(self, shelf: Shelf) -> None:
        with self._lock:
            self._known.pop(shelf, None)


def _vector(found: Any) -> NDArray[np.float32]:
    return np.asarray(found.vector[rows.VECTOR], dtype=np.float32)
