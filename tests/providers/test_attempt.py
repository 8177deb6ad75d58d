"""What a call waits for before it is sent, while its model is being built in this process."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from core import context
from core.context import RequestContext
from core.errors import RateLimited
from core.principals import SYSTEM
from core.settings import Settings
from providers.models import Models
from tests.fakes.azure import AzureFake
from tests.fakes.clouds import CLOUDS
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Reply


@pytest.fixture(scope="module")
def fakes() -> Iterator[tuple[AzureFake, OpenAIFake]]:
    with AzureFake() as azure, OpenAIFake() as well:
        yield azure, well


@pytest.fixture
async def cold(settings: Settings, fakes: tuple[AzureFake, OpenAIFake]) -> AsyncIterator[Models]:
    """Azure's model is not built yet, and takes as long as the test has it."""
    for fake in fakes:
        fake.clear()
    azure = CLOUDS["azure"].deployment(concurrent=2)
    models = Models(
        Settings.load(
            data_dir=settings.data_dir,
            models=[
                {"alias": "default", "deployments": [azure, {"provider": "openai_compatible:well", "model": "m"}]},
                {"alias": "alone", "deployments": [azure]},
            ],
            providers={
                "azure": CLOUDS["azure"].settings(fakes[0]),
                "openai_compatible:well": {"base_url": fakes[1].base_url},
            },
            timeouts={"connect": 2, "first_token": 0.4, "between_tokens": 5, "total": 60},
        )
    )
    yield models
    await models.close()


@pytest.fixture
def building(cold: Models) -> Iterator[Any]:
    """The lock under which Azure's models are built, held."""
    lock = cold.chat("alone").deployments[0].provider._built._lock  # type: ignore[attr-defined] # ours
    lock.acquire()
    yield lock
    if lock.locked():
        lock.release()


async def test_another_deployment_answers_while_a_model_is_being_built(cold: Models, building: Any) -> None:
    with context.serving(RequestContext(request_id="r", principal=SYSTEM)) as request:
        assert (await cold.chat().ainvoke("Hello")).text == Reply().text
    assert (request.provider, request.attempts) == ("openai_compatible:well", 1)
    standing = cold.chat("alone").deployments[0].standing  # type: ignore[attr-defined] # ours
    assert (standing.last_error, standing.in_flight) == (None, 0), "it says nothing of the provider"


async def test_where_there_is_no_other_it_is_waited_for(cold: Models, building: Any) -> None:
    asked = asyncio.create_task(cold.chat("alone").ainvoke("Hello"))
    done, _ = await asyncio.wait([asked], timeout=0.6)
    assert not done, "longer than for a first token"
    building.release()
    assert (await asked).text == Reply().text


async def test_calls_at_once_are_limited_while_the_model_is_being_built(
    cold: Models, building: Any, fakes: tuple[AzureFake, OpenAIFake]
) -> None:
    asked = [asyncio.create_task(cold.chat("alone").ainvoke("Hello")) for _ in range(12)]
    refused, waiting = await asyncio.wait(asked, timeout=0.6)
    assert (len(refused), len(waiting)) == (10, 2)
    assert {type(task.exception()) for task in refused} == {RateLimited}
    building.release()
    assert {answer.text for answer in await asyncio.gather(*waiting)} == {Reply().text}
    assert len(fakes[0].asked) == 2
