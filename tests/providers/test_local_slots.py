"""The bounded queue, with callers of one and of several event loops."""

import asyncio
import threading

import pytest

from core.errors import RateLimited
from providers.local_slots import Slots


async def test_serves_in_the_order_of_coming() -> None:
    slots, order = Slots(1, 5), []

    async def caller(number: int) -> None:
        async with slots.turn():
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(caller(number) for number in range(6)))
    assert order == list(range(6))
    assert (slots.busy, slots.waiting) == (0, 0)


async def test_refuses_one_more_than_the_queue_holds() -> None:
    slots = Slots(1, 1)
    async with slots.turn():
        waiting = asyncio.create_task(_once(slots))
        await _until(lambda: slots.waiting == 1)
        with pytest.raises(RateLimited) as refused:
            await _once(slots)
        assert refused.value.code == "queue_full"
    await waiting


async def test_a_cancelled_waiter_gives_its_place_away() -> None:
    slots = Slots(1, 2)
    async with slots.turn():
        leaving, staying = asyncio.create_task(_once(slots)), asyncio.create_task(_once(slots))
        await _until(lambda: slots.waiting == 2)
        leaving.cancel()
        await _until(lambda: slots.waiting == 1)
    await staying
    assert slots.busy == 0


async def test_a_turn_granted_to_a_caller_who_leaves_goes_on_to_the_next() -> None:
    slots = Slots(1, 2)
    async with slots.turn():
        leaving, staying = asyncio.create_task(_once(slots)), asyncio.create_task(_once(slots))
        await _until(lambda: slots.waiting == 2)
    leaving.cancel()
    await asyncio.wait_for(staying, 60)
    assert slots.busy == 0


async def test_no_slots_are_lost_between_event_loops() -> None:
    slots, most = Slots(2, 1000), [0]

    async def caller() -> None:
        async with slots.turn():
            most[0] = max(most[0], slots.busy)
            await asyncio.sleep(0)

    async def callers() -> None:
        await asyncio.gather(*(caller() for _ in range(100)))

    threads = [threading.Thread(target=asyncio.run, args=(callers(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert most[0] <= 2
    assert (slots.busy, slots.waiting) == (0, 0)


async def _once(slots: Slots) -> None:
    async with slots.turn():
        pass


async def _until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)
