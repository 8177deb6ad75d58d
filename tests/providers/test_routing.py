"""Which deployment comes first, under each strategy, and what limits and facts do to it, on real HTTP servers."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from core.errors import RateLimited
from core.settings import Settings
from providers.models import Models
from providers.routing import bare_model
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Fault, Reply

Make = Callable[..., Models]


@pytest.fixture(scope="module")
def fakes() -> Iterator[tuple[OpenAIFake, OpenAIFake]]:
    with OpenAIFake() as a, OpenAIFake() as b:
        yield a, b


@pytest.fixture
async def make(settings: Settings, fakes: tuple[OpenAIFake, OpenAIFake]) -> AsyncIterator[Make]:
    """Models with one alias over two deployments, of which each may have fields of its own."""
    made: list[Models] = []

    def build(strategy: str, a: dict[str, Any] | None = None, b: dict[str, Any] | None = None) -> Models:
        first = {"provider": "openai_compatible:a", "model": "small"} | (a or {})
        second = {"provider": "openai_compatible:b", "model": "large"} | (b or {})
        loaded = Settings.load(
            data_dir=settings.data_dir,
            models=[{"alias": "default", "strategy": strategy, "deployments": [first, second]}],
            providers={
                name: {"base_url": fake.base_url}
                for name, fake in zip(("openai_compatible:a", "openai_compatible:b"), fakes, strict=True)
            },
            retries={"longest_pause_s": 0.1},
        )
        made.append(Models(loaded))
        return made[-1]

    for fake in fakes:
        fake.clear()
    yield build
    for models in made:
        await models.close()


async def asked(models: Models, fakes: tuple[OpenAIFake, OpenAIFake], count: int) -> tuple[int, int]:
    """How many of so many requests each of the two got."""
    for _ in range(count):
        await models.chat().ainvoke("Hello")
    return len(fakes[0].asked), len(fakes[1].asked)


async def test_by_weight_each_has_its_share(make: Make, fakes: tuple[OpenAIFake, OpenAIFake]) -> None:
    models = make("weighted", {"weight": 3}, {"weight": 1})
    order = Counter(models.chat().route.order(None, 0.0)[0].model for _ in range(4000))  # type: ignore[attr-defined] # ours
    assert 2800 < order["small"] < 3200
    assert await asked(make("weighted", {"weight": 0}), fakes, 5) == (0, 5)


async def test_by_weight_one_without_any_answers_for_want_of_others(make: Make, fakes: tuple[OpenAIFake, OpenAIFake]) -> None:
    fakes[1].always(Fault.CREDENTIAL)
    assert (await make("weighted", {"weight": 0}).chat().ainvoke("Hello")).text == Reply().text


async def test_by_latency_the_faster_comes_first_and_the_slower_is_tried_again(
    make: Make, fakes: tuple[OpenAIFake, OpenAIFake]
) -> None:
    models = make("latency")
    a, b = models.chat().deployments  # type: ignore[attr-defined] # ours
    a.standing.first_token_s.add(2.0, 1000.0)
    b.standing.first_token_s.add(1.0, 1000.0)
    order = models.chat().route.order  # type: ignore[attr-defined] # ours
    assert order(None, 1001.0)[0] is b
    b.standing.first_token_s.add(1.0, 1070.0)
    b.standing.first_token_s.add(1.0, 1135.0)
    assert order(None, 1136.0)[0] is a, "what it took two minutes ago says little now"
    assert order(None, 1137.0)[0] is b, "one request tries it"


async def test_by_latency_all_are_measured(make: Make, fakes: tuple[OpenAIFake, OpenAIFake]) -> None:
    assert min(await asked(make("latency"), fakes, 6)) >= 1


async def test_by_cost_the_cheaper_comes_first_and_one_without_a_price_last(
    make: Make, fakes: tuple[OpenAIFake, OpenAIFake]
) -> None:
    dear, cheap = ({"price": {"input_usd_per_million": usd, "output_usd_per_million": usd}} for usd in (9, 1))
    assert await asked(make("cost", dear, cheap), fakes, 3) == (0, 3)
    assert await asked(make("cost", None, dear), fakes, 3) == (0, 6)


async def test_by_cost_the_hour_counts_as_long_as_answers_took(make: Make, fakes: tuple[OpenAIFake, OpenAIFake]) -> None:
    tokens = {"price": {"input_usd_per_million": 1, "output_usd_per_million": 1}}
    for per_hour, called in ((1_000_000, (2, 1)), ("0.000001", (2, 4))):
        models = make("cost", tokens, {"price": {"per_hour_usd": per_hour}})
        assert await asked(models, fakes, 3) == called, "the first one is for measuring it"


async def test_the_least_busy_comes_first(make: Make, fakes: tuple[OpenAIFake, OpenAIFake]) -> None:
    models = make("least_busy")
    models.chat().deployments[0].standing.begun()  # type: ignore[attr-defined] # ours
    assert await asked(models, fakes, 3) == (0, 3)


async def test_a_limit_is_respected_before_sending_and_the_next_one_called(
    make: Make, fakes: tuple[OpenAIFake, OpenAIFake]
) -> None:
    models = make("failover", {"requests_per_minute": 2}, {"requests_per_minute": 3})
    assert await asked(models, fakes, 5) == (2, 3)
    with pytest.raises(RateLimited) as limited:
        await models.chat().ainvoke("Hello")
    assert limited.value.retry_after_s is not None
    assert 0 < limited.value.retry_after_s <= 120
    assert (len(fakes[0].asked), len(fakes[1].asked)) == (2, 3)


async def test_a_prompt_too_long_for_certain_is_not_sent_to_a_small_window(
    make: Make, fakes: tuple[OpenAIFake, OpenAIFake]
) -> None:
    models = make("failover", {"context_tokens": 100})
    await models.chat().ainvoke("word " * 1000)
    assert (len(fakes[0].asked), len(fakes[1].asked)) == (0, 1)


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("us.anthropic.claude-3-5-haiku-20241022-v1:0", "claude-3-5-haiku"),
        ("claude-3-5-haiku@20241022", "claude-3-5-haiku"),
        ("openai/gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4.1", "gpt-4.1"),
        ("east#gpt-4o", "gpt-4o"),
        ("qwen2.5-72b-instruct", "qwen2.5-72b-instruct"),
        ("llama3:8b", "llama3:8b"),
    ],
)
def test_knows_a_model_by_its_clouds_names(name: str, bare: str) -> None:
    assert bare_model(name) == bare
