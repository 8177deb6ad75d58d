"""Google Vertex AI: Gemini over REST, Claude (models whose name begins with `claude`), and text embeddings."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from core.settings import ProviderSettings, Settings, Timeouts
from providers.base import ModelFacts, ModelState
from providers.building import BuiltModels, HTTPClients
from providers.facts import facts_of
from providers.google_access import GoogleAccess
from providers.neutral import NeutralEmbeddings
from providers.own_connections import OwnConnections
from providers.tokens import estimate
from providers.wire import Connections, limits_of

if TYPE_CHECKING:
    from providers.vertex_gemini import GeminiWire

#: Of one request: 250 texts and 20,000 tokens, gemini-embedding one text.
#: cloud.google.com/vertex-ai/generative-ai/docs/embeddings/get-text-embeddings, November 2026.
_TEXTS_PER_CALL = 100
_CHARACTERS_PER_CALL = 20_000
_PROBING = Timeouts(total=10)


class VertexProvider:
    """One project and region."""

    def __init__(self, name: str, settings: Settings, configured: ProviderSettings) -> None:
        self.name = name
        self._configured = configured
        self._access = GoogleAccess(configured)
        self._wire: GeminiWire | None = None
        self._embedders: dict[tuple[str, Timeouts], NeutralEmbeddings] = {}
        self._threads = ThreadPoolExecutor(configured.connections, thread_name_prefix=name)
        self._built = BuiltModels(self._chat)
        self._clients = HTTPClients(configured.connections)
        self._lines = OwnConnections(configured.connections)

    def chat(self, model: str, timeouts: Timeouts) -> BaseChatModel:
        return self._built.get(model, timeouts)

    def embeddings(self, model: str, timeouts: Timeouts) -> Embeddings:
        made = NeutralEmbeddings(lambda: self._embedder(model, timeouts), _translate_embedding, self._threads)
        return self._embedders.setdefault((model, timeouts), made)

    def _embedder(self, model: str, timeouts: Timeouts) -> Embeddings:
        from google import genai
        from google.genai.types import HttpOptions
        from langchain_google_vertexai import VertexAIEmbeddings

        access = self._access
        place: dict[str, Any] = {"project": access.project, "location": access.region, "credentials": access.credentials}
        inner = VertexAIEmbeddings(model=model, max_retries=0, **place)
        options = HttpOptions(
            base_url=access.endpoint,
            timeout=int(timeouts.total * 1000),
            headers=self._configured.extra_headers or None,
            client_args={"follow_redirects": False},
        )
        inner.client = genai.Client(vertexai=True, http_options=options, **place)
        texts = 1 if model.startswith("gemini-embedding") else _TEXTS_PER_CALL
        return _InBatches(inner, texts, access.renew)

    def facts(self, model: str) -> ModelFacts:
        facts = facts_of("vertex", model)
        if _is_claude(model):  # its class has no response format
            return replace(facts, structured_output=False, parameters=facts.parameters & {"top_p"})
        return facts

    def count_tokens(self, model: str, text: str) -> int:
        return estimate(text)

    async def warm(self, model: str, timeouts: Timeouts | None = None) -> None:
        if "embedding" in model:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._embedder, model, timeouts or Timeouts())
        else:
            await self._built.built(model, timeouts or Timeouts())

    def state(self, model: str) -> ModelState:
        return ModelState(model, "ready" if self._built.has(model) else "idle")

    async def probe(self, model: str) -> None:
        """Count the tokens of a word, which Vertex AI does for nothing; embeddings have no such call and cost one word."""
        if "embedding" in model:
            await self.embeddings(model, _PROBING).aembed_query("a")
            return
        publisher = "anthropic" if _is_claude(model) else "google"
        payload: dict[str, Any]
        await self._access.ready()
        path = f"projects/{self._access.project}/locations/{self._access.region}/publishers/{publisher}/models"
        if publisher == "google":
            path, payload = f"{path}/{model}:countTokens", {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}
        else:
            path, payload = f"{path}/count-tokens:rawPredict", {"model": model, "messages": [{"role": "user", "content": "a"}]}
        async with self._connections().post(path, payload, limits_of(_PROBING)) as response:
            await response.read()

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._wire is not None:
            await self._wire.close()
        await self._clients.close()

    def connection(self, model: str) -> AbstractAsyncContextManager[None]:
        """One of Anthropic's SDK; Gemini's wire waits for its own."""
        return self._lines.held() if _is_claude(model) else nullcontext()

    def connections(self) -> Connections | None:
        return None if self._wire is None else self._wire.use()

    def _connections(self) -> "GeminiWire":
        from providers.vertex_gemini import GeminiWire

        self._wire = self._wire or GeminiWire(self._access, self._configured.connections)
        return self._wire

    def _chat(self, model: str, timeouts: Timeouts) -> BaseChatModel:
        self.facts(model)  # loads the price tables in this thread rather than on the loop
        return self._claude(model, timeouts) if _is_claude(model) else self._gemini(model, timeouts)

    def _gemini(self, model: str, timeouts: Timeouts) -> BaseChatModel:
        from providers.vertex_gemini import gemini_class

        made: Any = gemini_class()(
            model=model,
            project=self._access.project,
            location=self._access.region,
            credentials=self._access.credentials,
            api_endpoint=self._access.endpoint,
            api_transport="rest",
            additional_headers=self._configured.extra_headers or None,
            timeout=timeouts.total,
            max_retries=0,
            wire=self._connections(),
            limits=limits_of(timeouts),
        )
        made.prediction_client.transport._session.max_redirects = 0  # noqa: SLF001 - of synchronous calls; `Wire` follows none
        chat: BaseChatModel = made
        return chat

    def _claude(self, model: str, timeouts: Timeouts) -> BaseChatModel:
        from providers.vertex_claude import claude_class

        made: Any = claude_class()(
            model=model,
            project=self._access.project,
            location=self._access.region,
            credentials=self._access.credentials,
            api_endpoint=f"{self._access.endpoint}/v1",
            additional_headers=self._configured.extra_headers or None,
            max_retries=0,
            access=self._access,
        )
        synchronous, asynchronous = self._clients.make(timeouts)
        made.client = made.client.with_options(timeout=synchronous.timeout, http_client=synchronous)
        made.async_client = made.async_client.with_options(timeout=asynchronous.timeout, http_client=asynchronous)
        chat: BaseChatModel = made
        return chat


def _is_claude(model: str) -> bool:
    return model.rpartition("/")[2].startswith("claude")


class _InBatches(Embeddings):
    """Sends no more texts in one request than Vertex AI takes. `renew` comes first: the SDK would ask for a token itself, and
    wait for minutes."""

    def __init__(self, inner: Embeddings, texts: int, renew: Callable[[], None]) -> None:
        self._inner, self._texts, self._renew = inner, texts, renew

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self._renew()
        return [vector for batch in self._batches(texts) for vector in self._inner.embed_documents(batch)]

    def embed_query(self, text: str) -> list[float]:
        self._renew()
        return self._inner.embed_query(text)

    def _batches(self, texts: list[str]) -> Iterator[list[str]]:
        batch: list[str] = []
        for text in texts:
            if batch and (len(batch) >= self._texts or sum(map(len, batch)) + len(text) > _CHARACTERS_PER_CALL):
                yield batch
                batch = []
            batch.append(text)
        if batch:
            yield batch


def _translate_embedding(error: Exception) -> Exception:
    """What Google's newer SDK raises, as a neutral error."""
    import httpx
    from google.genai.errors import APIError
    from langchain_core.exceptions import ModelConnectionError, ModelTimeoutError

    from providers.neutral import of_status
    from providers.vertex_gemini import translate
    from providers.waits import retry_after

    if isinstance(error, APIError):
        headers = getattr(error.response, "headers", None) or {}
        return of_status(error.code or 500, error.message or "", retry_after(headers))
    if isinstance(error, httpx.TimeoutException):
        return ModelTimeoutError("Vertex AI did not answer in time.")
    if isinstance(error, httpx.HTTPError):
        return ModelConnectionError(type(error).__name__)
    return translate(error)
