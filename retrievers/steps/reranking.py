"""Reranking: whoever judges passages one by one says what the best candidates are worth."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from core.errors import ProviderFailed
from retrievers.base import Passage
from retrievers.steps.settings import Rerank
from retrievers.steps.step import Retrieved, Step

#: The query and passages → what each is worth, from 0 to 1; None where that is not said.
Judge = Callable[[str, Sequence[Passage]], Awaitable[Sequence[float | None]]]
#: The part of the candidates that a judge has to say something of.
_SAID_AT_LEAST = 0.5


class RerankStep(Step):
    """Orders the best candidates by what the judge says, weighed with the search's own score; what is behind them stays."""

    step = "rerank"

    def __init__(self, settings: Rerank, judge: Judge) -> None:
        self._settings, self._judge = settings, judge

    async def take(self, found: Retrieved) -> Sequence[Passage]:
        candidates = found.passages[: self._settings.candidates]
        if not candidates:
            return found.passages
        said = await self._judge(found.query, candidates)
        if sum(worth is not None for worth in said) < _SAID_AT_LEAST * len(candidates):
            raise ProviderFailed("The judge did not say what the passages are worth.")
        weight = self._settings.weight
        best = max(candidates[0].score, 1e-9)
        judged = [
            replace(passage, score=weight * (worth or 0.0) + (1 - weight) * max(0.0, passage.score / best), judged=worth)
            for passage, worth in zip(candidates, said, strict=True)
        ]
        judged.sort(key=lambda passage: -passage.score)
        least = judged[-1].score
        rest = [replace(one, score=least * one.score / best) for one in found.passages[len(candidates) :]]
        return [*judged, *rest]
