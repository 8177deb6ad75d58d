"""The platform's own connections to a provider: counted, and no fault of the provider's where all are in use."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from core.errors import ConnectionsBusy
from core.settings import Settings
from providers import readings, wire
from providers.models import Models
from tests.fakes.openai import MODEL, OpenAIFake
from tests.fakes.wire import Fault, Reply


@pytest.fixture
def fakes() -> Iterator[tuple[OpenAIFake, OpenAIFake]]:
    with OpenAIFake() as first, OpenAIFake() as second:
        yield first, second


@asynccontextmanager
async def narrow(settings: Settings, fakes: tuple[OpenAIFake, ...], *, more: bool) -> AsyncIterator[Models]:
    """An alias whose first deployment has one connection, and, with `more`, another deployment."""
    deployments = [{"provider": "openai", "model": MODEL}, {"provider": "openai_compatible:there", "model": "there"}]
    made = Models(
        Settings.load(
            data_dir=settings.data_dir,
            models=[{"alias": "default", "deployments": deployments[: 1 + more]}],
            providers={
                "openai": {"base_url": fakes[0].base_url, "api_key": "sk-secret", "connections": 1},
                "openai_compatible:there": {"base_url": fakes[1].base_url},
            },
            timeouts={"connect": 5, "first_token": 20, "between_tokens": 20, "total": 40},
        )
    )
    await made.warm(local=False)
    yield made
    await made.close()


@asynccontextmanager
async def held(models: Models, fake: OpenAIFake) -> AsyncIterator[None]:
    """For the block, the one connection waits for an answer."""
    fake.then(Fault.SILENT)
    waiting = asyncio.create_task(models.chat().ainvoke("Hold the line."))
    await fake.until(lambda: len(fake.asked) == 1)
    yield
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


def use(models: Models) -> dict[tuple[str, ...], float]:
    return {(each.family.name, *each.labels): each.value for each in readings.connections(models)}


async def test_an_exhausted_pool_is_told_as_such_and_the_provider_is_not_blamed(
    settings: Settings, fakes: tuple[OpenAIFake, OpenAIFake], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "WAIT_S", 0.02)
    async with narrow(settings, fakes, more=False) as models:
        async with held(models, fakes[0]):
            found = use(models)
            assert found["genai_provider_connections", "openai", "in_use"] == 1
            assert found["genai_provider_connections_limit", "openai"] == 1
            for _ in range(6):  # as many as would open a breaker
                with pytest.raises(ConnectionsBusy) as refused:
                    await models.chat().ainvoke("Hello")
            assert (refused.value.status, refused.value.code) == (503, "provider_connections_busy")
            assert refused.value.retry_after_s == 1
            healthy = {each.labels: each.value for each in readings.standings(models) if each.family.name.endswith("healthy")}
            assert healthy["openai", MODEL] == 1
        assert (await models.chat().ainvoke("Hello")).text == Reply().text
        assert len(fakes[0].asked) == 2


async def test_another_deployment_is_asked_where_there_is_one(
    settings: Settings, fakes: tuple[OpenAIFake, OpenAIFake], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "WAIT_S", 0.02)
    async with narrow(settings, fakes, more=True) as models, held(models, fakes[0]):
        answer: Any = await models.chat().ainvoke("Hello")
        assert answer.response_metadata["provider"] == "openai_compatible:there"


async def test_a_breaker_that_is_open_is_told(settings: Settings, fakes: tuple[OpenAIFake, OpenAIFake]) -> None:
    fakes[0].always(Fault.SERVER)
    async with narrow(settings, fakes, more=True) as models:
        for _ in range(8):
            await models.chat().ainvoke("Hello")
        told = {(each.family.name, *each.labels): each.value for each in readings.standings(models)}
    assert told["genai_provider_healthy", "openai", MODEL] == 0
    assert told["genai_provider_breaker_state", "openai", MODEL, "open"] == 1
    assert told["genai_provider_breaker_state", "openai", MODEL, "closed"] == 0
    assert told["genai_provider_healthy", "openai_compatible:there", "there"] == 1
