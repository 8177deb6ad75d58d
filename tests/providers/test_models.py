"""Aliases, and what the models of an installation tell of themselves."""

import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import pytest

from core import context
from core.context import RequestContext, Usage
from core.errors import NotFound, ProviderFailed, Unavailable
from core.principals import SYSTEM
from core.settings import Settings, SettingsError
from providers.lazy_chat import ModelBeingBuilt
from providers.metering import charge_of, tokens_of
from providers.models import Models
from providers.tokens import count_messages, estimate
from tests.fakes.openai import DIMENSIONS, MODEL, OpenAIFake
from tests.fakes.wire import Fault, Reply


@pytest.fixture(scope="module")
def running() -> Iterator[OpenAIFake]:
    with OpenAIFake() as fake:
        yield fake


@pytest.fixture
def fake(running: OpenAIFake) -> OpenAIFake:
    running.clear()
    return running


def remote(settings: Settings, fake: OpenAIFake, *aliases: dict[str, Any], **more: Any) -> Settings:
    providers = {
        "openai": {"base_url": fake.base_url, "api_key": "sk-secret"},
        "openai_compatible:there": {"base_url": fake.base_url},
    }
    return Settings.load(data_dir=settings.data_dir, models=list(aliases), providers=providers, **more)


@pytest.fixture
async def models(settings: Settings, fake: OpenAIFake) -> AsyncIterator[Models]:
    vectors = {"provider": "openai", "model": "text-embedding-3-small"}
    made = Models(
        remote(
            settings,
            fake,
            {"alias": "vectors", "kind": "embeddings", "deployments": [vectors, vectors]},
            {"alias": "there", "deployments": [{"provider": "openai_compatible:there", "model": "llama", "images": True}]},
            {"alias": "gpt", "deployments": [{"provider": "openai", "model": MODEL}]},
        )
    )
    yield made
    await made.close()


@pytest.mark.parametrize("alias", ["nothing", "vectors", "embeddings", "x" * 5000])
async def test_an_alias_that_is_no_chat_model_is_not_found(models: Models, alias: str) -> None:
    with pytest.raises(NotFound) as missing:
        models.chat(alias)
    assert missing.value.code == "model_not_found"
    assert len(missing.value.message) < 300


async def test_the_default_is_what_is_called_when_nothing_is_named(models: Models) -> None:
    assert models.chat() is models.chat("default")
    assert models.facts().small


async def test_facts_come_from_the_provider_and_the_operator(models: Models) -> None:
    assert models.facts("gpt").images
    assert models.facts("gpt").context_tokens == 128_000
    assert models.facts("there").images, "said by the operator"
    assert not models.facts("there").small


async def test_states_tell_each_alias_without_a_call(models: Models, fake: OpenAIFake) -> None:
    states = {state["alias"]: state for state in models.states()}
    assert set(states) == {"default", "embeddings", "vectors", "there", "gpt"}
    assert states["default"]["deployments"][0]["state"] == "idle"
    assert states["gpt"]["deployments"][0] == {"provider": "openai", "model": MODEL, "state": "ready", "detail": ""}
    assert not fake.sent


async def test_embeddings_of_a_provider_are_metered_and_fail_over(models: Models, fake: OpenAIFake) -> None:
    fake.then(Fault.SERVER)
    with context.serving(RequestContext(request_id="r", principal=SYSTEM)) as request:
        vectors = await models.embeddings("vectors").aembed_documents(["a", "bb"])
    assert [vector[0] for vector in vectors] == [1.0, 2.0]
    assert len(vectors[0]) == DIMENSIONS
    assert (request.attempts, request.usage.input_tokens) == (2, 3)
    assert request.cost_usd == Decimal("0.00000006"), "3 at 0.02 $ a million"
    assert models.embedding_name("vectors") == "openai/text-embedding-3-small"


async def test_embeddings_that_all_fail_are_one_error(models: Models, fake: OpenAIFake) -> None:
    fake.always(Fault.SERVER, Fault.CREDENTIAL)
    with pytest.raises(ProviderFailed):
        await models.embeddings("vectors").aembed_query("a")


async def test_synchronous_embeddings_work_in_a_running_loop(models: Models) -> None:
    assert models.embeddings("vectors").embed_query("abc")[0] == 3.0


@pytest.mark.parametrize(
    ("deployment", "said"),
    [
        ({"provider": "openai_compatible:nowhere", "model": "m"}, "base_url is missing"),
        ({"provider": "local", "model": "gpt-4o"}, "deployments, the model of the provider local"),
    ],
)
async def test_a_deployment_that_cannot_be_is_told_at_start(
    settings: Settings, fake: OpenAIFake, deployment: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        Models(remote(settings, fake, {"alias": "default", "deployments": [deployment]}))


async def test_finds_the_model_of_a_server_on_this_machine(settings: Settings, fake: OpenAIFake) -> None:
    models = Models(Settings.load(data_dir=settings.data_dir, local={"chat_model": fake.base_url}))
    assert (await models.chat().ainvoke("Hi")).text == "Hello from the other side."
    assert fake.last.body["model"] == MODEL, "the first that the server lists"
    assert models.states()[0]["deployments"][0]["model"] == MODEL
    await models.close()


async def test_a_server_that_is_not_there_is_told(settings: Settings, unused_tcp_port: int) -> None:
    models = Models(Settings.load(data_dir=settings.data_dir, local={"chat_model": f"http://127.0.0.1:{unused_tcp_port}/v1"}))
    await models.warm(local=True)
    assert models.states()[0]["deployments"][0]["state"] == "failed"
    with pytest.raises(Unavailable, match="model server"):
        await models.chat().ainvoke("Hi")
    await models.close()


@pytest.mark.parametrize(
    ("provider", "model", "cost"),
    [
        ("local", "anything", Decimal(0)),
        ("openai", "gpt-4o", Decimal("0.00350")),
        ("openai", "no-such-model", None),
        ("openai_compatible:there", "no-such-model", None),
    ],
)
def test_prices_are_known_free_or_unknown(provider: str, model: str, cost: Decimal | None) -> None:
    assert charge_of(provider, model, tokens_of(Usage(input_tokens=1000, output_tokens=100))).usd == cost


def test_cached_tokens_have_a_price_of_their_own() -> None:
    usage = Usage(input_tokens=1000, output_tokens=0)
    cached = charge_of("openai", "gpt-4o", tokens_of(usage, {"input_token_details": {"cache_read": 1000}})).usd
    whole = charge_of("openai", "gpt-4o", tokens_of(usage)).usd
    assert cached is not None
    assert whole is not None
    assert cached < whole


def test_estimates_grow_with_the_text_and_take_any_text() -> None:
    assert estimate("") == 0
    assert estimate("Hello, world!") == 4
    assert estimate("word " * 100_000) > estimate("word " * 50_000) > 40_000
    assert estimate("<|endoftext|>\ud800") > 0


def test_a_conversation_counts_its_texts_calls_and_images() -> None:
    from langchain_core.messages import AIMessage, HumanMessage

    def words(text: str) -> int:
        return len(text.split())

    plain = count_messages([HumanMessage("one two three")], words)
    seeing: list[str | dict[Any, Any]] = [
        {"type": "text", "text": "one two three"},
        {"type": "image_url", "image_url": {"url": "data:,"}},
    ]
    assert plain == 3 + 4
    assert count_messages([HumanMessage(seeing)], words) == plain + 765
    assert count_messages([AIMessage("", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "1"}])], words) > 4


async def test_warming_builds_what_each_deployment_calls_with_its_own_limits(settings: Settings, fake: OpenAIFake) -> None:
    there = {"provider": "openai_compatible:there", "model": "llama"}
    hasty = there | {"timeouts": {"first_token": 1, "between_tokens": 1}}
    models = Models(remote(settings, fake, {"alias": "there", "deployments": [there, hasty]}))
    deployments = models.chat("there").deployments  # type: ignore[attr-defined] # ours
    assert all(isinstance(served.chat(), ModelBeingBuilt) for served in deployments)
    await models.warm(local=False)
    assert not any(isinstance(served.chat(), ModelBeingBuilt) for served in deployments)
    await models.close()


async def test_one_that_cannot_be_warmed_keeps_no_other_from_it(
    settings: Settings, fake: OpenAIFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_down(*_: Any) -> None:
        raise AttributeError("partially initialized module")

    first = {"provider": "openai", "model": MODEL}
    models = Models(
        remote(
            settings, fake, {"alias": "a", "deployments": [first, {"provider": "openai_compatible:there", "model": "llama"}]}
        )
    )
    broken, well = models.chat("a").deployments  # type: ignore[attr-defined] # ours
    monkeypatch.setattr(broken.provider, "warm", break_down)
    await models.warm(local=False)
    assert not isinstance(well.chat(), ModelBeingBuilt)
    await models.close()


async def test_building_a_model_does_not_count_against_its_provider(
    settings: Settings, fake: OpenAIFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"first_token": 0.2, "between_tokens": 0.2}
    slow = {"provider": "openai_compatible:there", "model": "llama", "timeouts": limits}
    models = Models(remote(settings, fake, {"alias": "there", "deployments": [slow]}))
    (served,) = models.chat("there").deployments  # type: ignore[attr-defined] # ours
    build = served.provider._built._build

    def take_longer_than_its_limits(*named: Any) -> Any:
        time.sleep(0.5)
        return build(*named)

    monkeypatch.setattr(served.provider._built, "_build", take_longer_than_its_limits)
    assert (await models.chat("there").ainvoke("Hi")).text == Reply().text
    assert (served.standing.breaker.failures, len(fake.asked)) == (0, 1)
    await models.close()
