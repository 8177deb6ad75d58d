"""Sending to the workers: what is sent arrives, and a broker that does not answer holds nobody up for long."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from redis import Redis

from core.queue import SEND_S, Queue
from core.settings import Settings
from core.valkey import EmbeddedValkey
from tests.desks import eventually


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    valkey = EmbeddedValkey(Settings.load(data_dir=tmp_path))
    yield valkey.start()
    valkey.close()


@pytest.fixture
def queue(server: str) -> Iterator[Queue]:
    opened = Queue(server)
    yield opened
    opened.close()


async def test_what_is_sent_waits_in_its_queue(queue: Queue) -> None:
    assert await queue.send("work", 1, queue="here")
    assert await queue.send_all("work", [(2,), (3,)], queue="here")
    assert (await queue.waiting("here"), await queue.waiting("there")) == (3, 0)


async def test_a_broker_that_is_frozen_holds_nobody_up_and_is_used_again(queue: Queue, server: str) -> None:
    assert await queue.send("work", 1, queue="here")
    with Redis.from_url(server) as redis:
        frozen = psutil.Process(redis.info("server")["process_id"])
    frozen.suspend()
    try:
        async with asyncio.timeout(10 * SEND_S):  # it once took three quarters of a minute
            assert not await queue.send("work", 2, queue="here")
            for _ in range(100):
                assert not await queue.send("work", 2, queue="here")
    finally:
        frozen.resume()

    async def taken() -> bool:
        return await queue.send("work", 3, queue="here")

    await eventually(taken)
