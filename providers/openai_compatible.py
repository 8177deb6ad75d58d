"""Any server that speaks OpenAI's protocol: vLLM, Ollama, LM Studio, a gateway. Several go by `openai_compatible:NAME`."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.exceptions import ModelError, ModelNotFoundError
from langchain_core.language_models import BaseChatModel

from core.errors import PlatformError
from core.settings import ProviderSettings, Settings, SettingsError, Timeouts
from providers.base import OPENAI_PARAMETERS, ModelFacts, ModelState, Reranker
from providers.building import BuiltModels
from providers.openai_protocol import Endpoint
from providers.openai_reranking import OpenAIProtocolReranker
from providers.tokens import estimate
from providers.wire import Connections

#: Servers without access control take any key; an empty header would be refused by some.
NO_KEY = "none"


class OpenAICompatibleProvider:
    """What its models can do is not told by the protocol: tools and JSON schemas are assumed, images are not.

    A deployment's own facts in the settings say otherwise.
    """

    compatible = True
    default_base_url: str | None = None

    def __init__(self, name: str, settings: Settings, configured: ProviderSettings) -> None:
        base_url = configured.base_url or self.default_base_url
        if not base_url:
            raise SettingsError(f"providers.{name}: base_url is missing (http://HOST:PORT/v1)")
        import providers.openai_transport  # noqa: F401 - 2 s: now, and not within a caller's first request

        self.name = name
        self._timeouts = settings.timeouts
        self._problem: str | None = None
        self._built = BuiltModels(self._build)
        self.endpoint = Endpoint(
            base_url.rstrip("/"),
            self._key(configured),
            dict(configured.extra_headers),
            compatible=self.compatible,
            connections=configured.connections,
            transport=configured.transport,
            stream_options=configured.stream_options,
        )

    def _key(self, configured: ProviderSettings) -> str:
        return configured.api_key.get_secret_value() if configured.api_key else NO_KEY

    def connections(self) -> Connections | None:
        return self.endpoint.use()

    def chat(self, model: str, timeouts: Timeouts) -> BaseChatModel:
        return self._built.get(model, timeouts)

    def _build(self, model: str, timeouts: Timeouts) -> BaseChatModel:
        self.facts(model)  # loads the price tables in this thread rather than on the loop
        return self.endpoint.chat(model, timeouts)

    def embeddings(self, model: str, timeouts: Timeouts) -> Embeddings:
        return self.endpoint.embeddings(model, timeouts)

    def reranker(self, model: str, timeouts: Timeouts) -> Reranker:
        return OpenAIProtocolReranker(self.endpoint, model, timeouts)

    async def completion(
        self, model: str, timeouts: Timeouts, prompt: str, parameters: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any]]:
        async for event in self.endpoint.completion(model, timeouts, prompt, parameters):
            yield event

    def completes(self, model: str) -> bool | None:
        return self.endpoint.raw_texts.known(model)

    def chatted(self, model: str) -> None:
        self.endpoint.raw_texts.chatted(model)

    def facts(self, model: str) -> ModelFacts:
        return ModelFacts(tools=True, structured_output=True, strict_tools=True, parameters=OPENAI_PARAMETERS)

    def count_tokens(self, model: str, text: str) -> int:
        return estimate(text)

    async def warm(self, model: str, timeouts: Timeouts | None = None) -> None:
        await self._built.built(model, timeouts or self._timeouts)

    def state(self, model: str) -> ModelState:
        return ModelState(model, "failed" if self._problem else "ready", self._problem or "")

    async def probe(self, model: str) -> None:
        """Asks for the list of models, which costs nothing. A server that has none is there: calls tell how it does.

        Raises:
            ModelError: it cannot be reached, refuses the key, or does not have the model.
        """
        try:
            listed = await self.endpoint.models(self._timeouts)
            if listed is not None and not {model, f"{model}:latest"} & {*listed}:  # Ollama's name for a model without a tag
                raise ModelNotFoundError("the server does not have this model")
        except (ModelError, PlatformError) as error:
            self._problem = str(error)
            raise
        self._problem = None

    async def close(self) -> None:
        await self.endpoint.close()
