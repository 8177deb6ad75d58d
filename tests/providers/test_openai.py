"""OpenAI and servers like it, over our own transport and over the SDK's."""

from typing import Any, ClassVar

from tests.providers.contract import ProviderContract


class TestOpenAI(ProviderContract):
    cloud = "openai"
    structured_by_tool = False


class TestOpenAIOverTheSDK(ProviderContract):
    cloud = "openai"
    settings: ClassVar[dict[str, Any]] = {"transport": "sdk"}
    structured_by_tool = False


class TestCompatible(ProviderContract):
    cloud = "compatible"
    structured_by_tool = False


class TestCompatibleOverTheSDK(ProviderContract):
    cloud = "compatible"
    settings: ClassVar[dict[str, Any]] = {"transport": "sdk"}
    structured_by_tool = False
