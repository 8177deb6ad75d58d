"""Words in Weaviate's own index of them: its BM25, which counts how rare a word is within one tenant of its collection, and so
within one collection of the platform.

Asked for are words as `retrievers.word_analysis` has them, in the two properties that `retrievers.stores.weaviate_rows` makes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

from retrievers.base import Shelf
from retrievers.filters import Filter, by_marks, matches, narrow
from retrievers.stores import weaviate_rows as rows
from retrievers.word_vectors import tells

if TYPE_CHECKING:
    from weaviate.collections import Collection as WeaviateCollection

#: Where the filter is checked here, so many times as many are looked at again, up to the best that many; then all.
_MORE, _BEST = 4, 4096
#: BM25 has this factor, which changes no order, and Weaviate leaves it out: k1 is 1.2 there as in the word index. With it both
#: have the same scores.
_FACTOR = 1.2 + 1
#: Identifiers of one call, and counts that are asked for at once.
_NAMED, _AT_ONCE = 500, 8


class WordSearch:
    """A search for words on one shelf. `every` gives all of its objects; `words` how often each word is asked for."""

    def __init__(
        self,
        tenant: "WeaviateCollection[Any, Any]",
        shelf: Shelf,
        words: Mapping[str, int],
        every: Callable[[], Iterable[Any]],
    ) -> None:
        self._tenant, self._shelf, self._every = tenant, shelf, every
        # a word that is asked for twice counts twice, there as here
        self._query = rows.written(word for word, times in words.items() for _ in range(times))

    def best(self, limit: int, filter: Filter | None) -> list[tuple[str, float]]:
        """The ids of the chunks that share words and pass the filter, with their BM25 score, best first."""
        said, exact = rows.said(filter), narrow(filter, by_marks).exact
        looked_at = limit
        while True:
            found = self._asked(looked_at, said, whole=not exact)
            passing = [one for one in found if exact or matches(filter, rows.chunk_of(one.properties))]
            if len(passing) >= limit or len(found) < looked_at:
                return self._scored(passing)[:limit]
            if looked_at >= _BEST:
                return self._best_of_all(limit, filter)
            looked_at *= _MORE

    def _best_of_all(self, limit: int, filter: Filter | None) -> list[tuple[str, float]]:
        """The same from all that pass, each scored: for filters that Weaviate cannot say and that let little pass."""
        from weaviate.classes.query import Filter as Asked

        ids = (one.uuid for one in self._every() if matches(filter, rows.chunk_of(one.properties)))
        best: list[tuple[str, float]] = []
        while some := list(islice(ids, _NAMED)):
            best += self._scored(self._asked(len(some), Asked.by_id().contains_any(some), whole=False))
            best = sorted(best, key=lambda one: (-one[1], one[0]))[:limit]
        return best

    def _asked(self, limit: int, filters: Any, *, whole: bool) -> list[Any]:
        from weaviate.classes.query import MetadataQuery

        found = self._tenant.query.bm25(
            self._query,
            query_properties=[rows.WORDS, rows.HEADS],
            limit=limit,
            filters=filters,
            return_properties=list(rows.PROPERTIES if whole else ("tenant", "chunk_id")),
            return_metadata=MetadataQuery(score=True),
        )
        return [one for one in found.objects if one.properties["tenant"] == self._shelf.tenant]

    def _scored(self, found: Iterable[Any]) -> list[tuple[str, float]]:
        scored = [(str(one.properties["chunk_id"]), _FACTOR * float(one.metadata.score or 0.0)) for one in found]
        return sorted(scored, key=lambda one: (-one[1], one[0]))


def weights(tenant: "WeaviateCollection[Any, Any]", words: Sequence[str], total: int) -> dict[str, float]:
    """How much each word tells among the tenant's `total` objects. Two counts for each, some at a time."""
    from weaviate.classes.query import Filter as Asked

    def found(place: tuple[str, str]) -> int:
        name, word = place
        which = Asked.by_property(name).equal(rows.written([word]))
        return int(tenant.aggregate.over_all(total_count=True, filters=which).total_count or 0)

    places = [(name, word) for word in words for name in (rows.WORDS, rows.HEADS)]
    with ThreadPoolExecutor(min(_AT_ONCE, max(len(places), 1))) as pool:
        counts = dict(zip(places, pool.map(found, places), strict=True))
    return {word: tells(total, max(counts[name, word] for name in (rows.WORDS, rows.HEADS))) for word in words}


def are_whole(tenant: "WeaviateCollection[Any, Any]") -> bool:
    """Whether each object was written with its words."""
    from weaviate.classes.query import Filter as Asked

    worded = tenant.aggregate.over_all(total_count=True, filters=Asked.by_property(rows.WORDED).equal(1)).total_count
    return worded == tenant.aggregate.over_all(total_count=True).total_count
