"""Work that hangs on somebody else's server is done once for all who ask, and not in the event loop's threads."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from providers.joined_work import JoinedWork


class Hanging:
    """Goes on when it is let, and counts how often it was begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.goes_on = threading.Event()

    def __call__(self) -> int:
        self.begun += 1
        assert self.goes_on.wait(20)
        return self.begun


async def test_all_who_ask_wait_for_the_same_and_the_loops_threads_stay_free() -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    joined, work = JoinedWork[int]("test"), Hanging()
    waiting = [asyncio.ensure_future(joined.of("a", work)) for _ in range(3)]
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        assert await asyncio.to_thread(lambda: 7) == 7
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    work.goes_on.set()
    assert await asyncio.gather(*waiting[1:]) == [1, 1]
    assert await joined.of("a", work) == 2


async def test_what_it_raises_reaches_all_and_the_next_begins_anew() -> None:
    joined = JoinedWork[int]("test")
    goes_on = threading.Event()

    def fail() -> int:
        assert goes_on.wait(20)
        raise ValueError

    waiting = [asyncio.ensure_future(joined.of("a", fail)) for _ in range(2)]
    await asyncio.sleep(0)
    goes_on.set()
    assert [type(error) for error in await asyncio.gather(*waiting, return_exceptions=True)] == [ValueError] * 2
    with pytest.raises(ValueError):
        joined.wait("a", fail)
    assert joined.wait("a", lambda: 1) == 1
