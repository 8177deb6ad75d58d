"""A call that waits for a connection of an SDK's is told as such: the provider, which is well, is not blamed."""

import asyncio
from typing import Any

import pytest

from core.errors import ConnectionsBusy
from core.settings import Settings, Timeouts
from providers import wire
from providers.models import Models
from providers.own_connections import OwnConnections
from tests.fakes.clouds import CLOUDS
from tests.fakes.wire import Fault, Reply

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.mark.parametrize("name", ["bedrock", "vertex-claude", "azure"])
async def test_waiting_for_a_connection_says_nothing_of_the_provider(name: str, settings: Settings) -> None:
    cloud = CLOUDS[name]
    with cloud.start() as fake:
        made = Models(
            Settings.load(
                data_dir=settings.data_dir,
                models=[{"alias": "default", "deployments": [cloud.deployment().model_dump(exclude_none=True)]}],
                providers={cloud.provider: cloud.settings(fake, connections=1)},
                timeouts={"connect": 5, "first_token": 20, "between_tokens": 20, "total": 40},
            )
        )
        await made.warm(local=False)
        (served,) = made.chat().deployments
        fake.then(Fault.SILENT)
        held = asyncio.create_task(made.chat().ainvoke("Hold the line."))
        await fake.until(lambda: len(fake.asked) == 1)
        object.__setattr__(served, "timeouts", Timeouts(connect=5, first_token=0.1, between_tokens=20, total=40))
        for _ in range(6):  # as many as would open a breaker
            with pytest.raises(ConnectionsBusy):
                await made.chat().ainvoke("Hello")
        assert served.standing.breaker.closed
        object.__setattr__(served, "timeouts", Timeouts(connect=5, first_token=20, between_tokens=20, total=40))
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
        assert (await made.chat().ainvoke("Hello")).text == Reply().text
        await made.close()


async def test_who_waited_gets_the_next_and_who_has_left_takes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, inside = OwnConnections(1), asyncio.Event()

    async def call(goes_on: asyncio.Event) -> str:
        async with lines.held():
            inside.set()
            await goes_on.wait()
        return "answered"

    goes_on = asyncio.Event()
    first, left, second = (asyncio.create_task(call(goes_on)) for _ in range(3))
    await inside.wait()
    assert (lines.use().in_use, lines.use().limit) == (1, 1)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    goes_on.set()
    assert await asyncio.gather(first, second) == ["answered", "answered"]
    assert lines.use().in_use == 0
    monkeypatch.setattr(wire, "WAIT_S", 0.01)
    async with lines.held():
        busy: Any = await asyncio.gather(call(goes_on), return_exceptions=True)
        assert isinstance(busy[0], ConnectionsBusy)
    assert lines.use().in_use == 0
