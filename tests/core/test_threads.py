"""Work in threads whose caller is cancelled."""

import asyncio
import threading

import pytest

from core.threads import run_to_end


async def test_the_result_is_given() -> None:
    assert await run_to_end(divmod, 7, 2) == (3, 1)


async def test_what_it_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await run_to_end(divmod, 7, 0)


async def test_cancelling_waits_for_the_thread() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        begun.set()
        may_end.wait(10)
        ended.set()

    task = asyncio.create_task(run_to_end(write))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
