"""Words in Pinecone: a sparse index beside the dense ones, in which a chunk's words are its vector
(`retrievers.word_vectors`), and in it a namespace for each collection id, as there.

Pinecone multiplies the vectors and counts nothing: how rare a word is, is asked of the index by the word alone, and remembered.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from heapq import nlargest
from itertools import islice
from typing import Any

from retrievers.base import Chunk, Shelf
from retrievers.filters import Filter, matches, narrow
from retrievers.stores import pinecone_rows as rows
from retrievers.stores.pinecone_client import MOST_WORDS_FOUND, SparseIndex
from retrievers.word_vectors import Sparse, WordVectors, indices_of, tells

#: Words of one vector: as many as Pinecone has said that it takes at least. The heaviest stay.
_MOST_ENTRIES = 1000
#: Where the filter is checked here, so many times as many are looked at again.
_MORE = 4
#: Chunks that are read at once to compare them, and counts that are asked for at once.
_COMPARED, _AT_ONCE = 100, 8
#: Parts of a namespace. A word that more chunks have than a query finds is counted in one part.
_PARTS = 64
_PART = "part"
#: Seconds for which a count is gone by, namespaces that counts are kept of, and words of one.
_KEPT_S, _SHELVES, _WORDS = 300.0, 64, 20_000


@dataclass(slots=True)
class _Counts:
    """What is known of a namespace: how many chunks it has, and how many have each word."""

    total: int
    until: float
    having: dict[str, int] = field(default_factory=dict)


class PineconeWords:
    """What one index of words is written, and asked. Thread-safe."""

    def __init__(self) -> None:
        self._vectors = WordVectors()
        self._counts: OrderedDict[Shelf, _Counts] = OrderedDict()
        self._lock = threading.Lock()

    def upsert(self, index: SparseIndex, shelf: Shelf, chunks: Sequence[Chunk]) -> None:
        """Insert or replace by chunk id; may be repeated. A chunk whose words tell nothing is not there."""
        made = {chunk.id: (_heaviest(self._vectors.of(chunk)), chunk) for chunk in chunks}
        records = [
            {
                "id": chunk.id,
                "sparse_values": _written(vector),
                "metadata": {**rows.marked(chunk, shelf), _PART: _part_of(chunk.id)},
            }
            for vector, chunk in made.values()
            if vector[0]
        ]
        if records:
            index.upsert(shelf.collection_id, records)
        if wordless := [chunk_id for chunk_id, (vector, _) in made.items() if not vector[0]]:
            index.delete(shelf.collection_id, wordless)
        self.forget(shelf)

    def search(
        self,
        index: SparseIndex,
        shelf: Shelf,
        query: str,
        limit: int,
        filter: Filter | None,
        *,
        total: Callable[[], int],
        read: Callable[[Sequence[str]], Mapping[str, Chunk]],
        passing: Callable[[], Iterable[Chunk]],
    ) -> list[tuple[str, float]]:
        """The ids of the chunks that share words with the query and pass the filter, with their BM25 score, best first.

        `total` counts the shelf's chunks, `read` reads some of them, `passing` all that pass the filter.
        """
        vector = self._vectors.asked(query, lambda words: self.weights(index, shelf, words, total))
        if not vector[0]:
            return []
        exact, said = narrow(filter, rows.sayable).exact, _on(shelf, rows.said(filter))
        looked_at = min(limit, MOST_WORDS_FOUND)
        while True:
            found = index.find(shelf.collection_id, _written(vector), looked_at, said)
            best = [(str(one["id"]), float(one["score"])) for one in found]
            if not exact:
                chunks = read([chunk_id for chunk_id, _ in best])
                best = [one for one in best if one[0] in chunks and matches(filter, chunks[one[0]])]
            if len(best) >= limit or len(found) < looked_at:
                return sorted(best, key=lambda one: (-one[1], one[0]))[:limit]
            if looked_at == MOST_WORDS_FOUND:
                return self._best_of_all(index, shelf, vector, limit, passing())
            looked_at = min(looked_at * _MORE, MOST_WORDS_FOUND)

    def _best_of_all(
        self, index: SparseIndex, shelf: Shelf, vector: Sparse, limit: int, passing: Iterable[Chunk]
    ) -> list[tuple[str, float]]:
        """The same from all that pass, each compared: where more share a word than a query finds, and few of them pass."""
        asked = dict(zip(*vector, strict=True))
        ids, scores = (chunk.id for chunk in passing), dict[str, float]()
        while some := list(islice(ids, _COMPARED)):
            for chunk_id, one in index.fetch(shelf.collection_id, some).items():
                kept = one["sparseValues"]
                pairs = zip(kept["indices"], kept["values"], strict=True)
                scores[chunk_id] = sum(value * asked.get(index, 0.0) for index, value in pairs)
        best = nlargest(limit, scores.items(), key=lambda one: (one[1], one[0]))
        return sorted((one for one in best if one[1] > 0), key=lambda one: (-one[1], one[0]))

    def weights(self, index: SparseIndex, shelf: Shelf, words: Sequence[str], total: Callable[[], int]) -> dict[str, float]:
        """How much each word tells among the shelf's chunks: its inverse document frequency in nats, by what was counted in
        the last minutes."""
        counts = self._known(shelf, total)
        if not counts.total:
            return dict.fromkeys(words, 0.0)
        having = dict(counts.having)
        if missing := [word for word in dict.fromkeys(words) if word not in having]:
            with ThreadPoolExecutor(min(_AT_ONCE, len(missing))) as pool:
                found = dict(zip(missing, pool.map(lambda word: self._having(index, shelf, word), missing), strict=True))
            having |= found
            counts.having = having if len(having) <= _WORDS else found
        return {word: tells(counts.total, having[word]) for word in words}

    def _having(self, index: SparseIndex, shelf: Shelf, word: str) -> int:
        """How many chunks have a word, in the text or in the headings: exactly, or where they are more than a query finds, by
        those of one part of the namespace."""
        asked = {"indices": sorted(indices_of(word)), "values": [1.0, 1.0]}
        found = len(index.find(shelf.collection_id, asked, MOST_WORDS_FOUND, _on(shelf)))
        if found < MOST_WORDS_FOUND:
            return found
        there = index.find(shelf.collection_id, asked, MOST_WORDS_FOUND, _on(shelf, {_PART: {"$eq": 0}}))
        return max(found, _PARTS * len(there))

    def _known(self, shelf: Shelf, total: Callable[[], int]) -> _Counts:
        with self._lock:
            counts = self._counts.get(shelf)
        if counts is None or time.monotonic() > counts.until:
            counts = _Counts(total(), time.monotonic() + _KEPT_S)
            with self._lock:
                self._counts[shelf] = counts
                self._counts.move_to_end(shelf)
                while len(self._counts) > _SHELVES:
                    self._counts.popitem(last=False)
        return counts

    def forget(self, shelf: Shelf) -> None:
        """What was counted on a shelf that is written to."""
        with self._lock:
            self._counts.pop(shelf, None)


def _on(shelf: Shelf, said: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What is the tenant's, and what a filter says of it."""
    own = {"tenant": {"$eq": shelf.tenant}}
    return own if said is None else {"$and": [own, said]}


def _heaviest(vector: Sparse) -> Sparse:
    if len(vector[0]) <= _MOST_ENTRIES:
        return vector
    kept = sorted(nlargest(_MOST_ENTRIES, zip(*vector, strict=True), key=lambda entry: entry[1]))
    return [index for index, _ in kept], [value for _, value in kept]


def _written(vector: Sparse) -> dict[str, list[Any]]:
    """As short as it can be: a request has at most 2 MB."""
    return {"indices": vector[0], "values": [float(f"{value:.7g}") for value in vector[1]]}


def _part_of(chunk_id: str) -> int:
    return blake2b(chunk_id.encode(), digest_size=1).digest()[0] % _PARTS
