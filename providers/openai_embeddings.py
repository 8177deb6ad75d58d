"""Embeddings of a server that speaks OpenAI's protocol, over the same connections as its chat models."""

from array import array
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings
from langchain_core.exceptions import ModelAPIError

from core.bridge import call
from core.settings import Timeouts
from providers.neutral import MISREAD

if TYPE_CHECKING:
    from providers.openai_protocol import Endpoint

#: OpenAI takes 2,048 inputs a call (2025); others take fewer.
TEXTS_PER_CALL = 96


class OpenAIProtocolEmbeddings(Embeddings):
    """Raises what the endpoint's chat models raise."""

    def __init__(self, endpoint: "Endpoint", model: str, timeouts: Timeouts) -> None:
        self._endpoint = endpoint
        self._model = model
        self._timeouts = timeouts

    async def aembed_metered(self, texts: list[str]) -> tuple[list[list[float]], int | None]:
        """The vectors, and the tokens that the server reported; None where it reported none."""
        vectors: list[list[float]] = []
        reported: list[int | None] = []
        for start in range(0, len(texts), TEXTS_PER_CALL):
            some, tokens = await self._call(texts[start : start + TEXTS_PER_CALL])
            vectors += some
            reported.append(tokens)
        known = [tokens for tokens in reported if tokens is not None]
        return vectors, sum(known) if len(known) == len(reported) else None

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return (await self.aembed_metered(texts))[0]

    async def aembed_query(self, text: str) -> list[float]:
        return (await self.aembed_metered([text]))[0][0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return call(self.aembed_documents(texts), None)

    def embed_query(self, text: str) -> list[float]:
        return call(self.aembed_query(text), None)

    async def _call(self, texts: list[str]) -> tuple[list[list[float]], int | None]:
        chat = self._endpoint.chat(self._model, self._timeouts)
        answer: dict[str, Any] = await chat.post(
            "/embeddings", {"model": self._model, "input": texts, "encoding_format": "float"}
        )
        try:
            rows = sorted(answer["data"], key=lambda row: row["index"])
            vectors = [array("d", row["embedding"]).tolist() for row in rows]
            tokens = (answer.get("usage") or {}).get("prompt_tokens")
        except MISREAD as error:
            raise ModelAPIError("the answer holds no embeddings") from error
        if len(vectors) != len(texts):
            raise ModelAPIError("the server gave another number of vectors than of texts")
        return vectors, tokens if isinstance(tokens, int) else None
