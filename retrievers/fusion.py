"""One ranking from two: the dense scores and the BM25 scores of the same query, as a weighted sum.

Each score is scaled between the least value that its kind can have (-1 for a cosine, 0 for BM25) and the best that was found,
so that how far a passage is ahead counts, which reciprocal ranks throw away. Bruch, Gai, Ingber, "An Analysis of Fusion
Functions for Hybrid Retrieval" (ACM TOIS 2023), call this TM2C2 and find the weight of 0.8 to hold across collections; on
Cranfield it is at the middle of a flat optimum (`infra/bench/rag_weights.py`).
"""

from collections.abc import Callable, Mapping
from heapq import nlargest

DENSE_WEIGHT = 0.8
_LEAST_COSINE = -1.0


def fuse(
    similarities: Mapping[str, float], lexical: Mapping[str, float], *, dense_weight: float = DENSE_WEIGHT
) -> list[tuple[str, float]]:
    """The ids of both mappings with a score in [0, 1], best first; equal ones by similarity, then by id.

    `similarities` are cosines; an id without one counts as the least similar of all. `lexical` are BM25 scores; an id without
    one shares no word with the query.
    """
    score = _scoring(similarities, lexical, dense_weight)
    return sorted(
        ((chunk_id, score(chunk_id)) for chunk_id in {**similarities, **lexical}),
        key=lambda found: (-found[1], -similarities.get(found[0], _LEAST_COSINE), found[0]),
    )


def contenders(
    similarities: Mapping[str, float], lexical: Mapping[str, float], needed: int, *, dense_weight: float = DENSE_WEIGHT
) -> list[str]:
    """The ids without a similarity that may be among the first `needed` of `fuse` once they have theirs.

    `similarities` are those of the nearest, so that none of the others is nearer than the last of them: what would come behind
    with as much need not be compared (the threshold algorithm of Fagin, Lotem and Naor, 2003).
    """
    others = [chunk_id for chunk_id in lexical if chunk_id not in similarities]
    if len(similarities) < needed:
        return others
    score = _scoring(similarities, lexical, dense_weight)
    bar = nlargest(needed, map(score, similarities))[-1]
    return [chunk_id for chunk_id in others if score(chunk_id) >= bar]


def _scoring(similarities: Mapping[str, float], lexical: Mapping[str, float], dense_weight: float) -> Callable[[str], float]:
    least = min(similarities.values(), default=_LEAST_COSINE)
    best = max(similarities.values(), default=0.0)
    top = max(lexical.values(), default=0.0)
    span = best - _LEAST_COSINE
    # with one ranking alone there is nothing to weigh
    weight = 1.0 if top <= 0 else 0.0 if not similarities else dense_weight

    def score(chunk_id: str) -> float:
        dense = (similarities.get(chunk_id, least) - _LEAST_COSINE) / span if span > 0 else 0.0
        return weight * dense + (1 - weight) * (lexical.get(chunk_id, 0.0) / top if top > 0 else 0.0)

    return score
