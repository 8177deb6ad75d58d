"""Rerankers by alias: deployments in order, under one deadline, with what they used recorded, as for embeddings."""

from collections.abc import Sequence

from langchain_core.exceptions import ModelAPIError

from core import context
from core.errors import UnsupportedFeature
from core.policies.policy import Place
from providers.base import Reranks
from providers.embeddings import FailoverTexts
from providers.privacy import protected_texts
from providers.served import Served


class FailoverReranker(FailoverTexts):
    """Says how well texts answer a query. Raises as `FailoverTexts` does."""

    async def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """From 0 to 1 each, in the order of the texts."""
        if not texts:
            return []
        with context.sparing():
            return [score for (score,) in await self._embed([query, *texts], query=True)]

    async def _protected(self, deployments: Sequence[Served], texts: list[str], *, query: bool) -> list[str]:
        if all(served.here for served in deployments):
            return texts
        asked = await protected_texts(self._route.privacy, texts[:1], Place.PROMPTS)
        return asked + await protected_texts(self._route.privacy, texts[1:], Place.RETRIEVED)

    async def _asked(self, served: Served, texts: list[str], *, query: bool) -> tuple[list[list[float]], int | None]:
        if not isinstance(served.provider, Reranks):
            raise UnsupportedFeature("This provider has no rerankers.", param="model")
        scores, tokens = await served.provider.reranker(served.model, served.timeouts).scores(texts[0], texts[1:])
        if len(scores) != len(texts) - 1:
            raise ModelAPIError("the server gave another number of scores than of texts")
        return [[score] for score in scores], tokens
