"""Qdrant's own engine in this process (Qdrant Edge), in the data directory: one shard for each dimension of vectors.

What was written is in the shard's log when a call returns, and survives a kill. Vectors are compared one by one: the engine
would make its index while everything else in the process waits (0.9.0).
"""

import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import Unavailable
from core.settings import Settings
from retrievers.stores.qdrant_engine import CANDIDATES, LINKS, WordQuery
from retrievers.stores.qdrant_points import DENSE, WORDS, Condition, Found, Point, found_of
from retrievers.stores.sole import taken_alone

if TYPE_CHECKING:
    from qdrant_edge import EdgeShard, Filter

#: What is indexed of the payload, keywords all of them. The rest of a filter is checked in the payload of what these leave.
_INDEXED = ("tenant", "collection", "document_id", "filter")
#: The engine answers searches of small collections without their index; kilobytes of vectors.
_COMPARED_KB = 10_000
_COPIED_AT_ONCE = 1000
#: Points after which what was written goes from the log, which grows until then, into the segments.
_FLUSHED_AFTER = 5000
_NEW, _OLD = ".new", ".old"
#: The file in a shard's directory that says that it holds more than it should.
_DELETED_FROM = "deleted_from"


class EdgeEngine:
    """`retrievers.stores.qdrant_engine.Engine`.

    Raises:
        Conflict: `store_not_shareable`: another has the directory open.
    """

    def __init__(self, settings: Settings) -> None:
        self._lock_file = taken_alone(settings.path("qdrant.lock"))
        self._path = settings.path("qdrant")
        self._shards: dict[int, EdgeShard] = {}
        self._unflushed = 0
        #: Held by each change: while the files are written anew nothing may be written to the old ones.
        self._changing = threading.Lock()
        self._closed = False
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        from qdrant_edge import EdgeShard

        self._path.mkdir(parents=True, exist_ok=True)
        for old in self._path.glob(f"*{_OLD}"):  # killed between two renames
            if not (whole := old.with_suffix("")).exists():
                old.replace(whole)
        for place in sorted(self._path.iterdir()):
            if place.name.isdigit():
                self._shards[int(place.name)] = EdgeShard.load(str(place))
            else:
                shutil.rmtree(place, ignore_errors=True)

    def places(self) -> list[int]:
        self._refuse_closed()
        return list(self._shards)

    def make(self, dimension: int) -> None:
        import qdrant_edge as edge

        with self._changing:
            self._refuse_closed()  # whoever opens the directory next may have made it, and written to it
            if dimension in self._shards:
                return
            whole = self._path / str(dimension)
            new = whole.with_suffix(_NEW)
            self._made(dimension, new).close()
            new.replace(whole)  # an error where something is there
            self._shards[dimension] = edge.EdgeShard.load(str(whole))

    def _made(self, dimension: int, path: Path) -> "EdgeShard":
        """An empty shard in the place of whatever is at `path`, which is one for what is not whole yet."""
        import qdrant_edge as edge

        vectors = {DENSE: edge.EdgeVectorParams(size=dimension, distance=edge.Distance.Cosine)}
        words = {WORDS: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)}
        index = edge.HnswIndexConfig(m=0, payload_m=LINKS, ef_construct=CANDIDATES, full_scan_threshold=_COMPARED_KB)
        shutil.rmtree(path, ignore_errors=True)
        shard = edge.EdgeShard.create(str(path), edge.EdgeConfig(vectors=vectors, sparse_vectors=words, hnsw_config=index))
        for key in _INDEXED:
            keyword = edge.KeywordIndexParams(is_tenant=True) if key == "tenant" else edge.KeywordIndexParams()
            shard.update(edge.UpdateOperation.create_field_index(key, keyword))
        return shard

    def upsert(self, dimension: int, points: Sequence[Point]) -> None:
        import qdrant_edge as edge

        made = [
            edge.Point(each.id, {DENSE: list(each.dense), WORDS: edge.SparseVector(*each.words)}, dict(each.payload))
            for each in points
        ]
        with self._changing:
            shard = self._shard(dimension)
            shard.update(edge.UpdateOperation.upsert_points(made))
            self._unflushed += len(made)
            if self._unflushed >= _FLUSHED_AFTER:
                shard.flush()
                self._unflushed = 0

    def nearest(
        self, dimension: int, vector: Sequence[float], limit: int, passing: Condition, *, exact: bool = False
    ) -> list[Found]:
        import qdrant_edge as edge

        if dimension not in self.places():
            return []
        asked = edge.QueryRequest(
            limit=limit,
            query=edge.Query.Nearest(list(vector), using=DENSE),
            filter=_filter(passing),
            with_payload=True,
            params=edge.SearchParams(exact=exact),
        )
        return [found_of(one, one.score) for one in self._shard(dimension).query(asked)]

    def by_words(self, dimension: int, queries: Sequence[WordQuery]) -> list[list[Found]]:
        import qdrant_edge as edge

        asked = [
            edge.QueryRequest(
                limit=query.limit,
                query=edge.Query.Nearest(edge.SparseVector(*query.words), using=WORDS),
                filter=_filter(query.passing),
                with_payload=True,
                with_vector=[WORDS] if query.with_words else False,
                params=edge.SearchParams(idf=edge.IdfParams(corpus=_filter(query.corpus))),
            )
            for query in queries
        ]
        found = self._shard(dimension).query_batch(edge.QueryBatchRequest(asked))
        return [[found_of(one, one.score) for one in some] for some in found]

    def page(
        self,
        dimension: int,
        passing: Condition,
        limit: int,
        after: str | None = None,
        *,
        vectors: bool = False,
        bare: bool = False,
    ) -> tuple[list[Found], str | None]:
        import qdrant_edge as edge

        asked = edge.ScrollRequest(
            offset=after,
            limit=limit,
            filter=_filter(passing),
            with_payload=["chunk"] if bare else True,
            with_vector=[DENSE] if vectors else False,
        )
        found, more = self._shard(dimension).scroll(asked)
        return [found_of(one) for one in found], None if more is None else str(more)

    def count(self, dimension: int, passing: Condition) -> int:
        import qdrant_edge as edge

        return int(self._shard(dimension).count(edge.CountRequest(exact=True, filter=_filter(passing))))

    def delete(self, dimension: int, passing: Condition) -> None:
        import qdrant_edge as edge

        with self._changing:
            (self._path / str(dimension) / _DELETED_FROM).touch()
            self._shard(dimension).update(edge.UpdateOperation.delete_points_by_filter(_filter(passing)))

    def scrub(self) -> None:
        """Write the shards anew that something was deleted from, or written over: the engine leaves it in its segments and its
        log. Searches go on meanwhile, changes wait."""
        with self._changing:
            for dimension in list(self._shards):
                if (self._path / str(dimension) / _DELETED_FROM).exists():
                    self._rewrite(dimension)

    def _rewrite(self, dimension: int) -> None:
        import qdrant_edge as edge

        whole = self._path / str(dimension)
        new, old = whole.with_suffix(_NEW), whole.with_suffix(_OLD)
        shard, copy = self._shard(dimension), self._made(dimension, new)
        after: Any = None
        while True:
            asked = edge.ScrollRequest(offset=after, limit=_COPIED_AT_ONCE, with_payload=True, with_vector=True)
            found, after = shard.scroll(asked)
            if found:
                copied = [edge.Point(one.id, one.vector or {}, one.payload) for one in found]
                copy.update(edge.UpdateOperation.upsert_points(copied))
            if after is None:
                break
        copy.close()
        whole.replace(old)
        new.replace(whole)
        self._shards[dimension] = edge.EdgeShard.load(str(whole))
        shutil.rmtree(old, ignore_errors=True)

    def ping(self) -> None:
        if not self._lock_file.is_locked:
            raise Unavailable("The vector store is closed.", code="store_unavailable")

    def close(self) -> None:
        with self._changing:
            self._closed = True
            for shard in self._shards.values():
                shard.close()
            self._shards.clear()
            self._lock_file.release()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise Unavailable("The vector store is closed.", code="store_unavailable")

    def _shard(self, dimension: int) -> "EdgeShard":
        try:
            return self._shards[dimension]
        except KeyError:
            raise Unavailable("The vector store is closed.", code="store_unavailable") from None


def _filter(said: Condition) -> "Filter":
    import qdrant_edge as edge

    def parts(word: str) -> list[Any] | None:
        return [_condition(part) for part in said[word]] if word in said else None

    return edge.Filter(must=parts("must"), should=parts("should"), must_not=parts("must_not"))


def _condition(said: Condition) -> Any:
    """The engine's own class for a condition."""
    import qdrant_edge as edge

    if "has_id" in said:
        return edge.HasIdCondition(set(said["has_id"]))
    if "nested" in said:
        return edge.NestedCondition(said["nested"]["key"], _filter(said["nested"]["filter"]))
    if "range" in said:
        return edge.FieldCondition(key=said["key"], range=edge.RangeFloat(**said["range"]))
    if "match" in said:
        match = said["match"]
        return edge.FieldCondition(
            key=said["key"], match=edge.MatchAny(match["any"]) if "any" in match else edge.MatchValue(match["value"])
        )
    return _filter(said)
