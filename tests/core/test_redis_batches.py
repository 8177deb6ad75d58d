"""Scripts that go to a real Valkey together."""

import asyncio
from collections.abc import AsyncIterator

import psutil
import pytest
from redis.exceptions import ResponseError

from core.redis_batches import ScriptBatches
from core.redis_clients import RedisClients
from core.redis_reach import FAILURES

COUNT = "return redis.call('INCRBY', KEYS[1], ARGV[1])"


@pytest.fixture
async def clients(valkey_url: str) -> AsyncIterator[RedisClients]:
    made = RedisClients(valkey_url, wait_s=0.5)
    await made.get().flushall()
    yield made
    await made.close()


@pytest.fixture
def batches(clients: RedisClients) -> ScriptBatches:
    return ScriptBatches(clients)


async def test_each_gets_its_own_answer_however_many_ask_at_once(batches: ScriptBatches) -> None:
    for _ in range(2):  # over redis-py first, then over the wire
        answers = await asyncio.gather(*(batches.run(COUNT, [b"%d" % number], [number]) for number in range(600)))
    assert answers == [2 * number for number in range(600)]


async def test_what_nobody_waits_for_goes_by_itself(batches: ScriptBatches) -> None:
    await batches.run(COUNT, [b"k"], [1])
    assert await batches.run(COUNT, [b"k"], [1], later=True) == 2


async def test_a_script_that_the_server_has_forgotten_is_taught_and_run_once(
    batches: ScriptBatches, clients: RedisClients
) -> None:
    await batches.run(COUNT, [b"k"], [1])
    await clients.get().script_flush()
    assert await asyncio.gather(*(batches.run(COUNT, [b"k"], [1]) for _ in range(3))) == [2, 3, 4]


async def test_one_that_goes_wrong_takes_nothing_from_the_others(batches: ScriptBatches, clients: RedisClients) -> None:
    await clients.get().set("text", "no number")
    for number in (1, 2):
        asked = [batches.run(COUNT, [name], [1]) for name in (b"text", b"k")]
        with pytest.raises(ResponseError):
            await asked[0]
        assert await asked[1] == number


async def test_a_connection_that_was_closed_meanwhile_is_no_end_of_the_server(
    batches: ScriptBatches, clients: RedisClients
) -> None:
    await batches.run(COUNT, [b"k"], [1])
    await clients.get().client_kill_filter(_type="normal", skipme=True)
    async with asyncio.timeout(20):
        while (await clients.get().info("clients"))["connected_clients"] > 1:  # noqa: ASYNC110 - the server tells it when asked
            await asyncio.sleep(0.01)
    assert await batches.run(COUNT, [b"k"], [1]) == 2
    assert not clients.reach.away


async def test_who_is_frozen_is_given_up_and_found_again(batches: ScriptBatches, clients: RedisClients) -> None:
    await batches.run(COUNT, [b"k"], [1])
    frozen = psutil.Process(int((await clients.get().info("server"))["process_id"]))
    frozen.suspend()
    try:
        for _ in range(2):
            with pytest.raises(FAILURES):
                await batches.run(COUNT, [b"k"], [1])
    finally:
        frozen.resume()
    async with asyncio.timeout(20):
        while clients.reach.away:  # noqa: ASYNC110 - a task in the background finds it
            await asyncio.sleep(0.01)
    assert await batches.run(COUNT, [b"other"], [1]) == 1
