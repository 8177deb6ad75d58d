"""One ranking from the searches for a query, for its other wordings, and for the questions that it is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from retrievers.base import Passage

#: The query itself, beside each other wording, which may have left its meaning behind.
_OWN_WEIGHT = 2.0


def join(own: Sequence[Passage], wordings: Sequence[Sequence[Passage]], parts: Sequence[Sequence[Passage]]) -> list[Passage]:
    """The passages of all searches, each once, best first.

    Scores are taken in relation to the best of their search. For the wordings they are averaged with those for the query, one
    that a search has not found counting as its last; the questions each bring in what is best for them, so for these the best
    counts. Without others the passages are as they were.
    """
    if not wordings and not parts:
        return list(own)
    rankings = [_scaled(own), *map(_scaled, wordings)]
    weights = [_OWN_WEIGHT, *(1.0 for _ in wordings)]
    least = [min(ranking.values(), default=0.0) for ranking in rankings]
    known = {passage.chunk.id: passage for found in (*parts, *wordings, own) for passage in found}

    def averaged(chunk_id: str) -> float:
        pairs = zip(weights, rankings, least, strict=True)
        return sum(weight * ranking.get(chunk_id, last) for weight, ranking, last in pairs) / sum(weights)

    scores = {chunk_id: averaged(chunk_id) for ranking in rankings for chunk_id in ranking}
    for ranking in map(_scaled, parts):
        for chunk_id, score in ranking.items():
            scores[chunk_id] = max(scores.get(chunk_id, 0.0), score)
    ordered = sorted(scores, key=lambda chunk_id: (-scores[chunk_id], chunk_id))
    return [replace(known[chunk_id], score=scores[chunk_id]) for chunk_id in ordered]


def _scaled(found: Sequence[Passage]) -> Mapping[str, float]:
    best = max((passage.score for passage in found), default=0.0)
    return {passage.chunk.id: max(passage.score, 0.0) / best if best > 0 else 0.0 for passage in found}
