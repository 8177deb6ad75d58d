"""What holds for all providers together; what each of them has to do is `tests/providers/contract.py`."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from langchain_core.messages import HumanMessage

from core.errors import UnsupportedFeature
from core.settings import Settings
from providers import PROVIDERS
from providers.models import Models
from tests.fakes.clouds import CLOUDS, FOUR, installation
from tests.fakes.scenarios import ANSWER
from tests.fakes.wire import Fake, Fault

ALIASES = sorted(Path(__file__).parents[2].joinpath("infra", "aliases").glob("*.toml"))
#: Where a provider is, what it is called with, and what only a provider's own interface has, by all the names of the SDKs.
NOT_A_CALLERS = (
    "model",
    "model_name",
    "base_url",
    "azure_endpoint",
    "endpoint_url",
    "api_endpoint",
    "api_key",
    "openai_api_key",
    "credentials",
    "organization",
    "timeout",
    "headers",
    "extra_headers",
    "extra_query",
    "extra_body",
    "default_headers",
    "http_client",
    "additional_headers",
    "additional_model_request_fields",
    "guardrail_config",
    "performance_config",
    "request_metadata",
    "safety_settings",
    "cached_content",
    "labels",
    "functions",
    "store",
    "service_tier",
    "prediction",
    "web_search_options",
    "merged",
    "stream_usage",
    "anything_else",
)


def test_every_provider_of_the_table_is_held_by_the_contract() -> None:
    assert {cloud.provider for cloud in CLOUDS.values()} | {"local"} == set(PROVIDERS)


@pytest.fixture(scope="module")
def fakes() -> Iterator[dict[str, Fake]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(CLOUDS[name].start()) for name in FOUR}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def in_order(fakes: dict[str, Fake]) -> AsyncIterator[dict[str, tuple[list[str], Models]]]:
    """By the first cloud: the order of the four, and an installation whose default alias has that order."""
    made = {}
    for first in FOUR:
        order = [first, *(name for name in FOUR if name != first)]
        made[first] = order, Models(Settings(**installation({name: fakes[name] for name in order})))
        await made[first][1].warm(local=False)
    yield made
    for _, models in made.values():
        await models.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("first", FOUR)
@pytest.mark.parametrize("fault", [Fault.RATE, Fault.UNAVAILABLE, Fault.CREDENTIAL, Fault.RESET, Fault.MISSING])
async def test_a_caller_gets_a_whole_answer_from_another_cloud(
    fault: Fault, first: str, fakes: dict[str, Fake], in_order: dict[str, tuple[list[str], Models]]
) -> None:
    order, models = in_order[first]
    for name in order:
        fakes[name].clear()
        fakes[name].always(fault if name == first else ANSWER)
    answer = await models.chat().ainvoke("Hi")
    assert answer.text == ANSWER.text
    assert fakes[order[2]].asked == fakes[order[3]].asked == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("first", FOUR)
async def test_a_caller_sets_no_address_key_or_option_of_a_providers_own(
    first: str, fakes: dict[str, Fake], in_order: dict[str, tuple[list[str], Models]]
) -> None:
    order, models = in_order[first]
    for name in order:
        fakes[name].clear()
    model = models.chat()
    with Elsewhere() as stolen:
        for name in NOT_A_CALLERS:
            with pytest.raises(UnsupportedFeature):
                await model.ainvoke("Hi", **{name: stolen.url})
            with pytest.raises(UnsupportedFeature):
                _ = [chunk async for chunk in model.astream("Hi", **{name: stolen.url})]
        assert [fakes[name].asked for name in order] == [[], [], [], []]
        config: Any = {"configurable": dict.fromkeys(NOT_A_CALLERS, stolen.url)}
        await model.ainvoke([HumanMessage("Hi")], config=config)
        assert sum(len(fakes[name].asked) for name in order) == 1
        assert stolen.sent == []


class Elsewhere(Fake):
    """A server of the caller's, to which nothing may be sent."""


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


def test_there_is_a_ready_alias_file_for_every_cloud() -> None:
    assert {file.stem for file in ALIASES} >= {"openai", "azure", "vertex", "bedrock", "ollama", "vllm", "failover"}
