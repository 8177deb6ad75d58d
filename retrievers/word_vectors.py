"""A chunk's words as a sparse vector, and a query's: their product is BM25, once the store has weighed each word by how much it
tells (inverse document frequency).

As the word index has it: two fields, since a word in the title or a heading tells more than one word among many, and a query's
words as often as they are there. The lengths of texts are held against a fixed mean, since a vector is written once.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

from retrievers.base import Chunk
from retrievers.word_analysis import Words

#: BM25's parameters as tantivy has them.
_K1, _B = 1.2, 0.75
#: Words of a chunk of 250 tokens without those that tell nothing, the mean over Cranfield and over the platform's own pages
#: alike, and of the headings above one. On Cranfield nDCG@10 is 0.364 with it by words alone, the word index's 0.363.
_MEAN_LENGTHS: Mapping[str, float] = {"text": 77.0, "context": 6.0}
_MOST_QUERY_TERMS = 256

#: Indices (below 2**32, ascending, each once) and their values.
Sparse = tuple[list[int], list[float]]


class WordVectors:
    """Thread-safe."""

    def __init__(self) -> None:
        self._words = Words()

    def of(self, chunk: Chunk) -> Sparse:
        """The vector of a chunk: of each word what BM25 has without its inverse document frequency."""
        weights: dict[int, float] = {}
        for field, text in (("text", chunk.text), ("context", chunk.context)):
            words = self._words.of(text)
            held = _K1 * (1 - _B + _B * len(words) / _MEAN_LENGTHS[field])
            for word, times in Counter(words).items():
                weights[index_of(field, word)] = times * (_K1 + 1) / (times + held)
        return _sorted(weights)

    def asked(self, query: str, weighed: Callable[[Sequence[str]], Mapping[str, float]] | None = None) -> Sparse:
        """The vector of a query; empty where no word of it tells anything. `weighed` gives how much each word tells, for a
        store that does not weigh them itself."""
        words = self.counted(query)
        told = dict.fromkeys(words, 1.0) if weighed is None else weighed(list(words))
        telling = {word: times * told[word] for word, times in words.items() if told[word] > 0}
        weights = {index: weight for word, weight in telling.items() for index in indices_of(word)}
        return _sorted(weights)

    def counted(self, query: str) -> dict[str, int]:
        """The words that a query is made with, and how often each is in it."""
        return dict(Counter(self._words.of(query)).most_common(_MOST_QUERY_TERMS))

    def words(self, text: str) -> list[str]:
        """The words of a text as they are compared."""
        return self._words.of(text)


def tells(total: int, found: int) -> float:
    """How much a word tells that `found` of `total` chunks have: its inverse document frequency as BM25 has it, in nats."""
    return math.log(1 + (max(total - found, 0) + 0.5) / (found + 0.5))


def indices_of(word: str) -> Sequence[int]:
    """Where a word is in a vector: in the text, and in the headings."""
    return [index_of(field, word) for field in _MEAN_LENGTHS]


@lru_cache(maxsize=50_000)
def index_of(field: str, word: str) -> int:
    """Where a word of a field is in a vector. Two words in one place are rarer than one in ten thousand."""
    return int.from_bytes(blake2b(f"{field}:{word}".encode(), digest_size=4).digest(), "big")


def _sorted(weights: Mapping[int, float]) -> Sparse:
    indices = sorted(weights)
    return indices, [weights[index] for index in indices]
