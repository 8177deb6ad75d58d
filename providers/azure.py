"""Azure OpenAI, by key or Entra ID: chat models and embeddings.

A model is the name of a deployment. Where that says nothing of the model, the model follows it after a `#`
(`my-deployment#gpt-4o`).
"""

import asyncio
import threading
from typing import Any
from urllib.parse import quote

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from core.settings import ProviderSettings, Settings, Timeouts
from providers.azure_access import AzureAccess
from providers.base import ModelFacts, ModelState
from providers.building import BuiltModels, HTTPClients
from providers.facts import facts_of
from providers.neutral import NeutralEmbeddings, code_of, of_status
from providers.tokens import estimate
from providers.waits import retry_after
from providers.wire import Connections, Wire, limits_of

_PROBING = Timeouts(total=10)
#: Azure's limit on the texts of one request.
_TEXTS_PER_CALL = 2048


class AzureProvider:
    """One Azure OpenAI resource."""

    def __init__(self, name: str, settings: Settings, configured: ProviderSettings) -> None:
        self.name = name
        self._configured = configured
        self._built = BuiltModels(self._chat)
        self._embedders: dict[tuple[str, Timeouts], NeutralEmbeddings] = {}
        self._access = AzureAccess(configured)
        self._clients = HTTPClients(configured.connections)
        self._wire: Wire | None = None
        self._lock = threading.Lock()

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

    async def warm(self, model: str, timeouts: Timeouts | None = None) -> None:
        if "embedding" not in model:
            await self._built.built(model, timeouts or Timeouts())

    def state(self, model: str) -> ModelState:
        deployment, _, named = model.partition("#")
        return ModelState(named or deployment, "ready" if self._built.has(model) else "idle")

    async def probe(self, model: str) -> None:
        """Send an empty request: Azure checks the key and the deployment before it refuses it, and bills nothing."""
        deployment = quote(model.partition("#")[0], safe="")
        embeds = "embedding" in model
        payload: dict[str, Any]
        action, payload = ("embeddings", {"input": []}) if embeds else ("chat/completions", {"messages": []})
        path = f"/openai/deployments/{deployment}/{action}?api-version={self._access.api_version}"
        try:
            async with await self._connections().post(path, payload, limits_of(_PROBING)) as response:
                body = await response.read()
        except Exception as error:
            translated = await asyncio.to_thread(_translate, error)
            if translated is error:
                raise
            raise translated from error
        if response.status >= 300 and response.status != 400:
            raise of_status(response.status, code_of(body), retry_after(response.headers))

    async def close(self) -> None:
        if self._wire is not None:
            await self._wire.close()
        await self._clients.close()
        await asyncio.to_thread(self._access.close)

    def _chat(self, model: str, timeouts: Timeouts) -> BaseChatModel:
        self.facts(model)  # loads the price tables in this thread rather than on the loop
        from providers.azure_chat import AzureChat, DirectAzureChat

        deployment, _, named = model.partition("#")
        options = {
            "azure_deployment": deployment,
            "model": named or deployment,
            "stream_usage": self._configured.stream_options,
            "stream_chunk_timeout": max(timeouts.first_token, timeouts.between_tokens),
            "use_responses_api": False,
            **self._options(timeouts),
        }
        if self._configured.transport == "sdk":
            sdk: BaseChatModel = AzureChat(**options)
            return sdk
        path = f"/openai/deployments/{quote(deployment, safe='')}/chat/completions?api-version={self._access.api_version}"
        direct: BaseChatModel = DirectAzureChat(wire=self._connections(), limits=limits_of(timeouts), path=path, **options)
        return direct

    def connections(self) -> Connections | None:
        return None if self._wire is None else self._wire.use()

    def _connections(self) -> Wire:
        with self._lock:
            if self._wire is None:
                self._wire = Wire(self._access.endpoint, self._access.headers, connections=self._configured.connections)
            return self._wire

    def _options(self, timeouts: Timeouts) -> dict[str, Any]:
        """What every client of the SDK takes."""
        synchronous, asynchronous = self._clients.make(timeouts)
        key = self._access.key
        return {
            "azure_endpoint": self._access.endpoint,
            "api_version": self._access.api_version,
            "default_headers": self._configured.extra_headers or None,
            "max_retries": 0,
            "timeout": timeouts.total,
            "http_client": synchronous,
            "http_async_client": asynchronous,
            **(
                {"api_key": key}
                if key
                else {"azure_ad_token_provider": self._access.token, "azure_ad_async_token_provider": self._access.atoken}
            ),
        }


def _translate(error: Exception) -> Exception:
    from providers.azure_chat import translate

    return translate(error)
