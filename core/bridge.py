"""Calling asynchronous work from synchronous code, from any thread, also from one whose own event loop is running.

What a runnable holds (database connections, HTTP sessions) belongs to the event loop that it was made on. So a call from
another thread is carried to that loop while it runs; without one, or from within it, a private loop in a background thread
does the work.
"""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing
from functools import lru_cache
from typing import Any, TypeVar, cast

from core.contained import keep_running

T = TypeVar("T")


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs in this thread, None where there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@lru_cache(maxsize=1)
def _private_loop() -> asyncio.AbstractEventLoop:
    """One loop for the process, in a daemon thread: it ends with the process."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=keep_running, args=(loop, lambda: False), name="runnables", daemon=True).start()
    return loop


def _loop_for(home: asyncio.AbstractEventLoop | None) -> asyncio.AbstractEventLoop:
    usable = home is not None and home.is_running() and home is not running_loop()
    return home if usable and home is not None else _private_loop()


def call(work: Coroutine[Any, Any, T], home: asyncio.AbstractEventLoop | None) -> T:
    """Wait for `work`, which runs with this thread's context variables. Interrupting the wait cancels the work."""
    future = asyncio.run_coroutine_threadsafe(work, _loop_for(home))
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def iterate(make: Callable[[], AsyncIterator[T]], home: asyncio.AbstractEventLoop | None) -> Iterator[T]:
    """The items of an asynchronous generator, which runs in one task. Closing the iterator cancels it."""
    items: queue.SimpleQueue[tuple[bool, T | BaseException | None]] = queue.SimpleQueue()

    async def pump() -> None:
        try:
            async with aclosing(cast("Any", make())) as stream:
                async for item in stream:
                    items.put((False, item))
        except BaseException as error:
            items.put((True, error))
            raise
        items.put((True, None))

    future = asyncio.run_coroutine_threadsafe(pump(), _loop_for(home))
    try:
        while True:
            finished, item = items.get()
            if not finished:
                yield cast("T", item)
            elif isinstance(item, BaseException):
                raise item
            else:
                return
    finally:
        future.cancel()
