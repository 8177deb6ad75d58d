"""Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): each next passage is relevant and says something new."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from retrievers.base import Passage, Vectors
from retrievers.steps.settings import Diversity
from retrievers.steps.step import Retrieved, Step
from retrievers.steps.vectors import vectors_of

if TYPE_CHECKING:
    from retrievers.library import Resources


class DiversityStep(Step):
    """Orders the best candidates so that those come later which are like earlier ones; what is behind them keeps its place."""

    step = "mmr"

    def __init__(self, settings: Diversity, resources: "Resources") -> None:
        self._settings, self._resources = settings, resources

    async def take(self, found: Retrieved) -> Sequence[Passage]:
        candidates = found.passages[: max(self._settings.candidates, found.limit)]
        rest = found.passages[len(candidates) :]
        if len(candidates) < 2:
            return found.passages
        vectors = await asyncio.to_thread(vectors_of, self._resources, found.shelf, [passage.chunk for passage in candidates])
        scores = np.asarray([passage.score for passage in candidates], dtype=np.float64)
        order = ranked(scores, vectors, self._settings.relevance)
        # scores still fall: an answer weighs how far a passage is behind the best
        levels = sorted((passage.score for passage in candidates), reverse=True)
        return [*(replace(candidates[place], score=level) for place, level in zip(order, levels, strict=True)), *rest]


def ranked(scores: "np.typing.NDArray[np.float64]", vectors: Vectors, relevance: float) -> list[int]:
    """The places of the candidates in their new order. `scores` are scaled to [0, 1], so that those of any mode will do;
    `vectors` are (n, dimension), L2-normalised."""
    best, least = scores.max(), scores.min()
    scaled = (scores - least) / (best - least) if best > least else np.ones_like(scores)
    alike = vectors @ vectors.T
    nearest = np.full(len(scores), -np.inf)
    left = np.ones(len(scores), dtype=bool)
    order: list[int] = []
    for _ in range(len(scores)):
        again = np.where(np.isinf(nearest), 0.0, nearest)
        marginal = np.where(left, relevance * scaled - (1 - relevance) * again, -np.inf)
        place = int(marginal.argmax())
        order.append(place)
        left[place] = False
        nearest = np.maximum(nearest, alike[place])
    return order
