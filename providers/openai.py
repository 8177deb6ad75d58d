"""OpenAI. The key is `providers.openai.api_key`, or the variable `OPENAI_API_KEY`."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from core.errors import UnsupportedFeature
from core.settings import ProviderSettings, Settings, SettingsError, Timeouts, usual_variable
from providers.base import OPENAI_PARAMETERS, ModelFacts
from providers.openai_compatible import OpenAICompatibleProvider

#: Families by the beginnings of their names, as OpenAI's model pages describe them (November 2025). Windows come with the
#: price tables (`providers.facts`), which know single models.
_SEEING = ("gpt-4o", "gpt-4.1", "gpt-4-turbo", "gpt-5", "o1", "o3", "o4", "chatgpt-4o")
_WITHOUT_TOOLS = ("o1-mini", "o1-preview", "gpt-3.5-turbo-instruct")
_WITHOUT_SCHEMAS = ("gpt-3.5", "gpt-4-", "o1-mini", "o1-preview")
_WINDOWS = {
    "gpt-4o": 128_000,
    "gpt-4.1": 1_047_576,
    "gpt-4-turbo": 128_000,
    "gpt-5": 400_000,
    "o1": 200_000,
    "o3": 200_000,
    "o4": 200_000,
    "gpt-3.5-turbo": 16_385,
}
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
        if key := usual_variable("OPENAI_API_KEY"):
            return key
        raise SettingsError("providers.openai: api_key is missing, and OPENAI_API_KEY is not set")

    async def completion(
        self, model: str, timeouts: Timeouts, prompt: str, parameters: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any]]:
        if not model.startswith(_COMPLETING):
            raise UnsupportedFeature("The model does not continue raw texts.")
        async for event in super().completion(model, timeouts, prompt, parameters):
            yield event

    def facts(self, model: str) -> ModelFacts:
        window = next((size for prefix, size in _WINDOWS.items() if model.startswith(prefix)), None)
        return ModelFacts(
            context_tokens=window,
            images=model.startswith(_SEEING) and not model.startswith(_WITHOUT_TOOLS),
            tools=not model.startswith(_WITHOUT_TOOLS),
            structured_output=not model.startswith(_WITHOUT_SCHEMAS),
            parameters=OPENAI_PARAMETERS,
        )
