"""A server that is away is found out once, asked by nobody, and found again."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from redis import Redis
from structlog.testing import capture_logs

from core.redis_clients import RedisClients
from core.redis_reach import FAILURES, RedisAway, in_time
from infra.bench.stores import Valkey


@pytest.fixture
async def clients(valkey_url: str) -> AsyncIterator[RedisClients]:
    made = RedisClients(valkey_url, wait_s=0.5)
    yield made
    await made.close()


async def asked(clients: RedisClients) -> bool:
    """Whether it answers."""
    try:
        async with clients.asked() as client:
            await client.ping()
    except FAILURES:
        return False
    return True


async def test_who_is_frozen_is_found_out_told_of_once_and_found_again(clients: RedisClients, valkey_url: str) -> None:
    assert await asked(clients)
    with Redis.from_url(valkey_url) as redis:
        frozen = psutil.Process(int(redis.info("server")["process_id"]))
    with capture_logs() as logs:
        frozen.suspend()
        try:
            assert await asyncio.gather(*(asked(clients) for _ in range(5))) == [False] * 5
            with pytest.raises(RedisAway):
                async with clients.asked():
                    pytest.fail("it is known to be away")
            async with asyncio.timeout(20):
                while not logs:  # noqa: ASYNC110 - it is asked once more before it is told of
                    await asyncio.sleep(0.01)
        finally:
            frozen.resume()
        async with asyncio.timeout(20):
            while clients.reach.away:  # noqa: ASYNC110 - a task in the background finds it
                await asyncio.sleep(0.01)
        assert await asked(clients)
    assert [line["event"] for line in logs] == ["redis.away", "redis.back"]


async def test_a_connection_that_the_server_has_closed_is_no_end_of_it(tmp_path: Path) -> None:
    with Valkey(tmp_path).running() as valkey, Redis.from_url(valkey.url) as redis, capture_logs() as logs:
        clients = RedisClients(valkey.url, wait_s=0.5)
        assert await asked(clients)
        (idle,) = clients.get().connection_pool._available_connections
        redis.client_kill_filter(_type="normal", skipme=True)
        async with asyncio.timeout(20):
            while not idle._reader.at_eof():  # noqa: ASYNC110 - its end arrives
                await asyncio.sleep(0.01)
        assert await asked(clients)
        await clients.close()
    assert logs == []


async def test_who_refuses_to_write_is_not_taken_for_well(clients: RedisClients, valkey_url: str) -> None:
    with Redis.from_url(valkey_url) as redis, capture_logs() as logs:
        redis.config_set("maxmemory", 1)
        try:
            clients.reach.failed(ConnectionError())
            with pytest.raises(FAILURES):
                async with clients.asked():
                    pytest.fail("it is known to be away")
            asking = clients.reach._asking
            assert asking is not None
            await asyncio.wait({asking}, timeout=1.2)  # two questions
            assert clients.reach.away
        finally:
            redis.config_set("maxmemory", 0)
        await asyncio.wait_for(asking, 20)
    assert [line["event"] for line in logs] == ["redis.away", "redis.back"]


async def test_a_block_is_ended_in_time() -> None:
    with pytest.raises(TimeoutError):
        async with in_time(0.01):
            await asyncio.Event().wait()


async def test_the_time_that_the_event_loop_was_late_does_not_count() -> None:
    ended = False
    async with in_time(0.02):
        time.sleep(0.1)  # noqa: ASYNC251 - the loop is late
        await asyncio.sleep(0)
        ended = True
    assert ended, "it was not cut off"


async def test_who_was_late_once_is_not_told_of(clients: RedisClients) -> None:
    with capture_logs() as logs:
        clients.reach.failed(TimeoutError())
        asking = clients.reach._asking
        assert asking is not None
        await asyncio.wait_for(asking, 20)
        assert await asked(clients)
    assert logs == []


async def test_an_exchange_from_before_it_was_away_and_back_does_not_end_it_again(clients: RedisClients) -> None:
    async def broken_later() -> None:
        async with clients.asked(patient=True):
            clients.reach.failed(ConnectionError())
            async with asyncio.timeout(20):
                while clients.reach.away:  # noqa: ASYNC110 - a task in the background finds it
                    await asyncio.sleep(0.01)
            raise ConnectionError  # of a connection that was open all the time

    with capture_logs() as logs:
        with pytest.raises(ConnectionError):
            await broken_later()
        assert not clients.reach.away
        assert await asked(clients)
    assert [line["event"] for line in logs] == ["redis.away", "redis.back"]
