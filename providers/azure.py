"""Azure OpenAI, by key or Entra ID: chat models and embeddings.

A model is the name of a deployment. Where that says nothing of the model, the model follows it after a `#`
(`my-deployment#gpt-4o`). Without a key the credential is Entra ID's: Azure's variables, workload identity, managed identity,
or the Azure CLI's login.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from core.settings import ProviderSettings, Settings, Timeouts, usual_variable
from providers.base import ModelFacts, ModelState
from providers.building import BuiltModels, LoopTransport
from providers.facts import facts_of
from providers.neutral import NeutralEmbeddings, not_configured
from providers.tokens import estimate

_SCOPE = "https://cognitiveservices.azure.com/.default"
#: The newest version of the API that is generally available under deployment paths.
#: learn.microsoft.com/azure/ai-services/openai/api-version-lifecycle, November 2026.
_API_VERSION = "2024-10-21"
#: Azure's limit on the texts of one request.
_TEXTS_PER_CALL = 2048


class AzureProvider:
    """One Azure OpenAI resource."""

    def __init__(self, name: str, settings: Settings, configured: ProviderSettings) -> None:
        self.name = name
        self._configured = configured
        self._built = BuiltModels(self._chat)
        self._embedders: dict[tuple[str, Timeouts], NeutralEmbeddings] = {}
        self._transport = LoopTransport(configured.connections)
        self._lock = threading.Lock()
        self._tokens: Callable[[], str] | None = None

    def chat(self, model: str, timeouts: Timeouts) -> BaseChatModel:
        return self._built.get(model, timeouts)

    def embeddings(self, model: str, timeouts: Timeouts) -> Embeddings:
        made = NeutralEmbeddings(lambda: self._embedder(model, timeouts), _translate)
        return self._embedders.setdefault((model, timeouts), made)

    def _embedder(self, model: str, timeouts: Timeouts) -> Embeddings:
        from langchain_openai import AzureOpenAIEmbeddings

        return AzureOpenAIEmbeddings(
            deployment=model.partition("#")[0],
            check_embedding_ctx_length=False,  # it would download tiktoken's tables
            chunk_size=_TEXTS_PER_CALL,
            **self._options(timeouts),
        )

    def facts(self, model: str) -> ModelFacts:
        return facts_of("azure", model.partition("#")[2] or model)

    def count_tokens(self, model: str, text: str) -> int:
        return estimate(text)

    async def warm(self, model: str) -> None:
        if "embedding" not in model:
            await asyncio.to_thread(self._built.build, model, Timeouts())

    def state(self, model: str) -> ModelState:
        deployment, _, named = model.partition("#")
        return ModelState(named or deployment, "ready" if self._built.has(model) else "idle")

    async def probe(self, model: str) -> None:
        """Send an empty request: Azure checks the key and the deployment before it refuses it, and bills nothing."""
        import openai

        from providers.azure_chat import translate

        chat: Any = await asyncio.to_thread(self._built.build, model, Timeouts(total=10))
        client, deployment = chat.root_async_client, model.partition("#")[0]
        try:
            if "embedding" in model:
                await client.embeddings.create(model=deployment, input=[])
            else:
                await client.chat.completions.create(model=deployment, messages=[])
        except openai.BadRequestError:
            return
        except openai.APIError as error:
            raise translate(error) from error

    async def close(self) -> None:
        await self._transport.aclose()

    def _chat(self, model: str, timeouts: Timeouts) -> BaseChatModel:
        self.facts(model)  # loads the price tables in this thread rather than on the loop
        from providers.azure_chat import AzureChat

        deployment, _, named = model.partition("#")
        chat: BaseChatModel = AzureChat(
            azure_deployment=deployment,
            model=named or deployment,
            stream_usage=True,
            stream_chunk_timeout=max(timeouts.first_token, timeouts.between_tokens),
            **self._options(timeouts),
        )
        return chat

    def _options(self, timeouts: Timeouts) -> dict[str, Any]:
        """What every client takes."""
        import httpx2

        endpoint = self._configured.base_url or usual_variable("AZURE_OPENAI_ENDPOINT")
        if not endpoint:
            raise not_configured("Azure OpenAI has no address: set providers.azure.base_url or AZURE_OPENAI_ENDPOINT.")
        limits = httpx2.Timeout(timeouts.total, connect=timeouts.connect)
        pool = httpx2.Limits(max_connections=self._configured.connections)
        return {
            "azure_endpoint": endpoint,
            "api_version": self._configured.api_version or usual_variable("OPENAI_API_VERSION") or _API_VERSION,
            "default_headers": self._configured.extra_headers or None,
            "max_retries": 0,
            "timeout": limits,
            "http_client": httpx2.Client(limits=pool, timeout=limits),
            "http_async_client": httpx2.AsyncClient(transport=self._transport, timeout=limits),
            **self._credential(),
        }

    def _credential(self) -> dict[str, Any]:
        key = self._configured.api_key.get_secret_value() if self._configured.api_key else None
        if key := key or usual_variable("AZURE_OPENAI_API_KEY"):
            return {"api_key": key}
        tokens = self._entra()
        asynchronous: Callable[[], Awaitable[str]] = lambda: asyncio.to_thread(tokens)  # noqa: E731 - typed here
        return {"azure_ad_token_provider": tokens, "azure_ad_async_token_provider": asynchronous}

    def _entra(self) -> Callable[[], str]:
        """One credential, which keeps its token until it has to be renewed."""
        from azure.identity import DefaultAzureCredential, get_bearer_token_provider

        with self._lock:
            self._tokens = self._tokens or get_bearer_token_provider(DefaultAzureCredential(), _SCOPE)
            return self._tokens


def _translate(error: Exception) -> Exception:
    from providers.azure_chat import translate

    return translate(error)
