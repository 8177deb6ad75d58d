"""OpenAI. The key is `providers.openai.api_key`, or the variable `OPENAI_API_KEY`."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from core.errors import UnsupportedFeature
from core.settings import ProviderSettings, Settings, SettingsError, Timeouts, usual_variable
from providers.base import ModelFacts
from providers.facts import facts_of
from providers.openai_compatible import NO_KEY, OpenAICompatibleProvider

_COMPLETING = ("gpt-3.5-turbo-instruct", "davinci-002", "babbage-002")


class OpenAIProvider(OpenAICompatibleProvider):
    """OpenAI's own service."""

    compatible = False
    default_base_url = "https://api.openai.com/v1"

    def __init__(self, name: str, settings: Settings, configured: ProviderSettings) -> None:
        if configured.base_url is None and (usual := usual_variable("OPENAI_BASE_URL", "OPENAI_API_BASE")):
            configured = configured.model_copy(update={"base_url": usual})
        super().__init__(name, settings, configured)

    def _key(self, configured: ProviderSettings) -> str:
        if configured.api_key:
            return configured.api_key.get_secret_value()
        if configured.credentials == "run_time":
            return NO_KEY
        if key := usual_variable("OPENAI_API_KEY"):
            return key
        raise SettingsError("providers.openai: api_key is missing, and OPENAI_API_KEY is not set")

    async def completion(
        self, model: str, timeouts: Timeouts, prompt: str, parameters: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any]]:
        if not self.completes(model):
            raise UnsupportedFeature("The model does not continue raw texts.")
        async for event in super().completion(model, timeouts, prompt, parameters):
            yield event

    def completes(self, model: str) -> bool | None:
        return model.startswith(_COMPLETING)

    def facts(self, model: str) -> ModelFacts:
        return facts_of("openai", model)
