"""Rerankers of a server that speaks OpenAI's protocol: `/rerank` beside it, as Jina and Cohere have it and vLLM, llama.cpp,
LiteLLM and others serve it (2026)."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.exceptions import ModelAPIError

from core.settings import Timeouts
from providers.neutral import MISREAD

if TYPE_CHECKING:
    from providers.openai_protocol import Endpoint


class OpenAIProtocolReranker:
    """Raises what the endpoint's chat models raise."""

    def __init__(self, endpoint: "Endpoint", model: str, timeouts: Timeouts) -> None:
        self._endpoint, self._model, self._timeouts = endpoint, model, timeouts

    async def scores(self, query: str, texts: list[str]) -> tuple[list[float], int | None]:
        """From 0 to 1 each, in the order of the texts, and the tokens that the server reported."""
        chat = self._endpoint.chat(self._model, self._timeouts)
        payload = {"model": self._model, "query": query, "documents": texts, "top_n": len(texts)}
        answer: dict[str, Any] = await chat.post("/rerank", payload)
        try:
            said = {int(row["index"]): float(row["relevance_score"]) for row in answer["results"]}
            scores = [said[place] for place in range(len(texts))]
            usage = answer.get("usage") or {}
            tokens = usage.get("total_tokens", usage.get("prompt_tokens"))
        except MISREAD as error:
            raise ModelAPIError("the answer does not score every text") from error
        if not all(map(math.isfinite, scores)):
            raise ModelAPIError("the answer holds a score that is no number")
        return scaled(scores), tokens if isinstance(tokens, int) else None


def scaled(scores: Sequence[float]) -> list[float]:
    """Scores from 0 to 1. Some servers give the model's own numbers, of any size: their logistic function."""
    if all(0 <= score <= 1 for score in scores):
        return list(scores)
    return [1 / (1 + math.exp(-max(min(score, 60.0), -60.0))) for score in scores]
