"""What every provider of the table must have, through its real SDK against a fake of its cloud at the wire."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from langchain_core.exceptions import ModelError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, HumanMessage

from core.settings import Deployment, ModelAlias, ProviderSettings, Settings, Timeouts
from providers import PROVIDERS
from providers.base import ModelFacts, Provider
from providers.failures import Kind, understand
from providers.models import Models
from tests.fakes.azure import AzureFake
from tests.fakes.bedrock import BedrockFake
from tests.fakes.vertex import VertexFake
from tests.fakes.wire import RETRY_AFTER_S, Fake, Fault, Reply

TIMEOUTS = Timeouts(connect=2, first_token=10, between_tokens=10, total=10)
#: Provider: its fake, its settings, a chat model, an embedding model. `local` has no wire: its own tests hold it.
CLOUDS: dict[str, tuple[type[Fake], dict[str, Any], str, str]] = {
    "openai": (AzureFake, {"api_key": "k", "path": "/v1"}, "gpt-4o", "text-embedding-3-small"),
    "openai_compatible": (AzureFake, {"api_key": "k", "path": "/v1"}, "gpt-4o", "text-embedding-3-small"),
    "azure": (AzureFake, {"api_key": "k"}, "gpt-4o", "text-embedding-3-small"),
    "vertex": (
        VertexFake,
        {"api_key": "k", "project": "p", "region": "europe-west4"},
        "gemini-2.5-flash",
        "text-embedding-005",
    ),
    "bedrock": (
        BedrockFake,
        {"access_key_id": "AKIDTEST", "secret_access_key": "s", "region": "eu-west-1"},
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "amazon.titan-embed-text-v2:0",
    ),
}
FUNCTION = {
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ALIASES = sorted(Path(__file__).parents[2].joinpath("infra", "aliases").glob("*.toml"))
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_every_provider_of_the_table_is_held_by_this_contract() -> None:
    assert set(CLOUDS) | {"local"} == set(PROVIDERS)


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, tuple[Fake, Provider]]]:
    with ExitStack() as fakes:
        made = {}
        for name, (kind, options, chat, _) in CLOUDS.items():
            fake = fakes.enter_context(kind())
            given = {key: value for key, value in options.items() if key != "path"}
            configured = ProviderSettings(base_url=fake.url + options.get("path", ""), **given)
            provider = PROVIDERS.load(name)(name, Settings(), configured)
            asyncio.run(provider.warm(chat))
            made[name] = (fake, provider)
        yield made


@pytest.fixture(params=CLOUDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def fake(name: str, running: dict[str, tuple[Fake, Provider]]) -> Fake:
    running[name][0].clear()
    return running[name][0]


@pytest.fixture
def provider(name: str, running: dict[str, tuple[Fake, Provider]]) -> Provider:
    return running[name][1]


@pytest.fixture
async def model(name: str, provider: Provider) -> BaseChatModel:
    return provider.chat(CLOUDS[name][2], TIMEOUTS)


async def streamed(model: Any, **parameters: Any) -> AIMessageChunk:
    """As the failover calls a model: by its extension point, with a caller's parameters in OpenAI's form."""
    total: AIMessageChunk | None = None
    async for chunk in model._astream([HumanMessage("Hi")], ["END"], None, **parameters):
        total = chunk.message if total is None else total + chunk.message
    assert total is not None
    return total


def test_making_a_provider_is_cheap_and_asks_nobody(name: str) -> None:
    provider: Provider = PROVIDERS.load(name)(name, Settings(), ProviderSettings(base_url="http://127.0.0.1:1/v1", api_key="k"))
    assert provider.state(CLOUDS[name][2]).state in ("idle", "ready")
    assert isinstance(provider.facts(CLOUDS[name][2]), ModelFacts)
    assert provider.count_tokens(CLOUDS[name][2], "Hello there, how are you?") in range(4, 12)


async def test_an_answer_is_streamed_whole_with_its_usage(model: BaseChatModel, fake: Fake) -> None:
    answer = await streamed(model, temperature=0.2, max_tokens=50, seed=1)
    assert answer.text == Reply().text
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (12, 5)
    assert len(fake.sent) == 1


async def test_a_tool_in_openais_form_is_called(model: BaseChatModel, fake: Fake) -> None:
    fake.then(Reply(text="", calls=[("weather", {"city": "Oslo"})]))
    tools = [{"type": "function", "function": FUNCTION}]
    answer = await streamed(model, tools=tools, tool_choice="required")
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("weather", {"city": "Oslo"})]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.RATE, Kind.RATE),
        (Fault.SERVER, Kind.SERVER),
        (Fault.UNAVAILABLE, Kind.SERVER),
        (Fault.CREDENTIAL, Kind.AUTH),
        (Fault.FORBIDDEN, Kind.AUTH),
        (Fault.MISSING, Kind.MISSING),
        (Fault.INVALID, Kind.REQUEST),
        (Fault.RESET, Kind.CONNECTION),
        (Fault.CUT, Kind.CONNECTION),
        (Fault.MALFORMED, Kind.CONNECTION),
        (Fault.TOO_LONG, Kind.CONTEXT),
        (Fault.REFUSED, Kind.CONTENT),
    ],
)
async def test_the_failover_understands_every_fault_of_every_provider(
    fault: Fault, kind: Kind, model: BaseChatModel, fake: Fake
) -> None:
    fake.then(fault)
    with pytest.raises(Exception) as caught:
        await streamed(model)
    failure = understand(caught.value)
    assert failure.kind == kind
    assert len(fake.sent) == 1
    if fault is Fault.RATE:
        assert failure.retry_after_s == RETRY_AFTER_S


async def test_embeddings_come_in_the_order_of_the_texts(name: str, provider: Provider, fake: Fake) -> None:
    embeddings = provider.embeddings(CLOUDS[name][3], TIMEOUTS)
    vectors = await embeddings.aembed_documents(["a", "bbb", "cc"])
    assert [len(vector) for vector in vectors] == [8, 8, 8]
    assert [vector[0] for vector in vectors] == [1.0, 3.0, 2.0]


async def test_a_probe_tells_a_provider_that_is_down(name: str, provider: Provider, fake: Fake) -> None:
    fake.then(Fault.SERVER)
    with pytest.raises((ModelError, ValueError)):
        await provider.probe(CLOUDS[name][2])


@pytest.fixture(scope="module")
def in_order(running: dict[str, tuple[Fake, Provider]]) -> dict[str, tuple[list[str], Models]]:
    """By the first cloud: the order of the three, and an installation whose default alias has that order."""
    made = {}
    for first in ("azure", "vertex", "bedrock"):
        order = [first, *(name for name in ("azure", "vertex", "bedrock") if name != first)]
        providers = {name: ProviderSettings(base_url=running[name][0].url, **CLOUDS[name][1]) for name in order}
        deployments = tuple(Deployment(provider=name, model=CLOUDS[name][2]) for name in order)
        alias = ModelAlias(alias="default", deployments=deployments)
        made[first] = order, Models(Settings(models=(alias,), providers=providers, timeouts=TIMEOUTS))
    return made


@pytest.mark.parametrize("first", ["azure", "vertex", "bedrock"])
@pytest.mark.parametrize("fault", [Fault.RATE, Fault.UNAVAILABLE, Fault.CREDENTIAL, Fault.RESET, Fault.MISSING])
async def test_a_caller_gets_a_whole_answer_from_the_next_cloud(
    fault: Fault, first: str, running: dict[str, tuple[Fake, Provider]], in_order: dict[str, tuple[list[str], Models]]
) -> None:
    order, models = in_order[first]
    for name in order:
        running[name][0].clear()
    running[first][0].then(*[fault] * 8)
    answer = await models.chat().ainvoke("Hi")
    assert answer.text == Reply().text
    assert len(running[order[1]][0].sent) == 1
    assert running[order[2]][0].sent == []


@pytest.mark.parametrize("file", ALIASES, ids=lambda file: file.stem)
def test_a_ready_alias_file_loads_and_names_providers_that_are_there(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GENAI_CONFIG", str(file))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    settings = Settings.load(data_dir=tmp_path)
    models = Models(settings)
    assert {row["alias"] for row in models.states()} >= {"default", "embeddings"}
    assert models.facts("default").context_tokens or file.stem in ("ollama", "vllm")
