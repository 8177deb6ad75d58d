"""Whether a collection is better searched by both legs or by one of them, found without anybody's judgement: by its own
sentences.

A sentence of a chunk is asked for, and the rest of the chunk is what should be found (the inverse cloze task of Lee, Chang and
Toutanova, "Latent Retrieval for Weakly Supervised Open Domain Question Answering", ACL 2019). Of a chunk with the sentence in
it any word search would find any sentence; so the chunk is compared as if it were not there: its vector is made of the rest,
and of its BM25 score is left what the words weigh that stand in the rest too.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from retrievers.base import Chunk
from retrievers.fusion import DENSE_WEIGHT, fuse
from retrievers.sentences import units

#: Sentences that are asked for at most, and at least for a finding.
MOST_PROBES, LEAST_PROBES = 120, 40
#: How far down the chunk is looked for: what comes behind is not found.
_DEPTH = 10
#: What the joined search may stay behind its better leg, in mean reciprocal rank, and how many standard errors of the paired
#: difference tell that from chance.
MARGIN, STANDARD_ERRORS = 0.005, 2.0
#: Words of a sentence that is asked for, and of what has to be left of its chunk.
_SENTENCE_WORDS = (4, 40)
_REST_WORDS = 12


@dataclass(frozen=True, slots=True)
class Probe:
    """A sentence that is asked for, the chunk that it is of, and what of that chunk is left without it."""

    query: str
    chunk: Chunk
    rest: str

    @classmethod
    def of(cls, chunk: Chunk, chance: random.Random) -> "Probe | None":
        """One of the chunk's sentences, which `chance` chooses; None where none leaves enough."""
        found = units(chunk.text)
        chance.shuffle(found)
        for unit in found:
            query = chunk.text[unit.start : unit.end]
            rest = f"{chunk.text[: unit.start]}\n{chunk.text[unit.end :]}".strip()
            least, most = _SENTENCE_WORDS
            if least <= len(query.split()) <= most and len(rest.split()) >= _REST_WORDS:
                return cls(query, chunk, rest)
        return None

    def is_beside(self, chunk_start: int, chunk_end: int) -> bool:
        """Whether another chunk of the document has the sentence in it as well, in its overlap."""
        begin = self.chunk.start + self.chunk.text.index(self.query)
        return chunk_start < begin + len(self.query) and begin < chunk_end


@dataclass(frozen=True, slots=True)
class Ranks:
    """Reciprocal ranks of the chunk that was to be found, up to the tenth; 0 behind it."""

    dense: float
    lexical: float
    hybrid: float


def ranked(chunk_id: str, similarities: Mapping[str, float], lexical: Mapping[str, float]) -> Ranks:
    """Where a chunk stands by these scores, which are without what it owes to the sentence."""

    def rank(weight: float) -> float:
        order = [found for found, _ in fuse(similarities, lexical, dense_weight=weight)[:_DEPTH]]
        return 1 / (order.index(chunk_id) + 1) if chunk_id in order else 0.0

    words = sorted(lexical, key=lambda found: (-lexical[found], found))[:_DEPTH]
    by_words = 1 / (words.index(chunk_id) + 1) if chunk_id in words and lexical[chunk_id] > 0 else 0.0
    return Ranks(rank(1.0), by_words, rank(DENSE_WEIGHT))


def without(query: str, rest: str, weights: Mapping[str, float], words: Callable[[str], Sequence[str]]) -> float:
    """The share of a sentence's weight, in words, that stands in the rest of its chunk as well: 0 to 1."""
    asked, there = words(query), frozenset(words(rest))
    total = sum(weights.get(word, 0.0) for word in asked)
    return sum(weights.get(word, 0.0) for word in asked if word in there) / total if total > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What the probes have found. `dense_weight` is how much the dense leg weighs in a hybrid search from now on: as it comes,
    unless one leg alone was better than both by more than chance. The others are mean reciprocal ranks at 10."""

    dense_weight: float
    probes: int
    dense: float
    lexical: float
    hybrid: float

    def stored(self) -> dict[str, Any]:
        """As it is kept with the generation."""
        names = ("dense_weight", "probes", "dense", "lexical", "hybrid")
        return {name: round(getattr(self, name), 4) for name in names}


def finding(ranks: Sequence[Ranks]) -> Finding:
    """What to make of the ranks."""
    legs = {1.0: [one.dense for one in ranks], 0.0: [one.lexical for one in ranks]}
    both = [one.hybrid for one in ranks]
    weight = DENSE_WEIGHT
    if len(ranks) >= LEAST_PROBES:
        better = max(legs, key=lambda leg: mean(legs[leg]))
        if _is_ahead(legs[better], both):
            weight = better
    means = {leg: mean(found) if found else 0.0 for leg, found in legs.items()}
    return Finding(weight, len(ranks), means[1.0], means[0.0], mean(both) if both else 0.0)


def _is_ahead(leg: Sequence[float], both: Sequence[float]) -> bool:
    ahead = [one - other for one, other in zip(leg, both, strict=True)]
    error = stdev(ahead) / math.sqrt(len(ahead))
    return mean(ahead) > MARGIN and mean(ahead) > STANDARD_ERRORS * error
