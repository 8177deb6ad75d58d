"""The clouds as a test sets them up: each provider with its fake, its settings and models, and installations over several."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.settings import Deployment, ModelAlias, ProviderSettings, Timeouts
from tests.fakes.azure import AzureFake
from tests.fakes.bedrock import BedrockFake
from tests.fakes.openai import OpenAIFake
from tests.fakes.vertex import VertexFake
from tests.fakes.wire import Fake

#: Long enough for a busy machine, short enough that a test of silence is quick.
PATIENT = Timeouts(connect=5, first_token=10, between_tokens=10, total=20)
BRIEF = Timeouts(connect=5, first_token=0.4, between_tokens=0.4, total=20)


@dataclass(frozen=True)
class Cloud:
    """`continues`: its model takes up an answer that is begun."""

    provider: str
    fake: type[Fake]
    chat: str
    embedding: str | None
    options: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""
    continues: bool = False

    def start(self) -> Fake:
        """A fake that is not started yet: `with cloud.start() as fake`."""
        return self.fake(continues=self.continues)

    def settings(self, fake: Fake, **more: Any) -> ProviderSettings:
        return ProviderSettings(**{"base_url": fake.url + self.path, **self.options, **more})

    def deployment(self, **more: Any) -> Deployment:
        return Deployment(provider=self.provider, model=self.chat, **more)


_VERTEX = {"api_key": "token-1", "project": "p1", "region": "europe-west4"}
CLOUDS: dict[str, Cloud] = {
    "openai": Cloud("openai", OpenAIFake, "gpt-4o", "text-embedding-3-small", {"api_key": "sk-test"}, "/v1"),
    "compatible": Cloud("openai_compatible", OpenAIFake, "gpt-4o", "text-embedding-3-small", {"api_key": "sk-test"}, "/v1"),
    "azure": Cloud("azure", AzureFake, "our-chat#gpt-4o", "our-embeddings#text-embedding-3-small", {"api_key": "azure-key"}),
    "vertex": Cloud("vertex", VertexFake, "gemini-2.5-flash", "text-embedding-005", _VERTEX),
    "vertex-claude": Cloud("vertex", VertexFake, "claude-sonnet-4-5@20250929", None, _VERTEX, continues=True),
    "bedrock": Cloud(
        "bedrock",
        BedrockFake,
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "amazon.titan-embed-text-v2:0",
        {"access_key_id": "AKIDTEST", "secret_access_key": "secret", "region": "eu-west-1"},
        continues=True,
    ),
}
#: The four clouds of which one falls ill in the scenarios.
FOUR = ("openai", "azure", "vertex", "bedrock")


def installation(fakes: Mapping[str, Fake], *, timeouts: Timeouts = PATIENT, **alias: Any) -> dict[str, Any]:
    """Settings with one alias `default` over these clouds, in their order. Each provider may appear once.

    The first has the smallest window, so that a prompt which it finds too long may fit elsewhere. `alias` are further fields.
    With `BRIEF` time-outs `Models.warm` comes first: the clouds' packages take seconds to load.
    """
    windows = (8_192, *[1_000_000] * len(fakes))
    deployments = tuple(CLOUDS[name].deployment(context_tokens=window) for name, window in zip(fakes, windows, strict=False))
    return {
        "models": (ModelAlias(alias="default", deployments=deployments, **alias),),
        "providers": {CLOUDS[name].provider: CLOUDS[name].settings(fake) for name, fake in fakes.items()},
        "timeouts": timeouts,
    }
