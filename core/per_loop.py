"""What belongs to one event loop, such as a connection pool, for a process that runs several of them.

The server, the embedded worker and synchronous callers each have a loop of their own, and share providers.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import structlog

T = TypeVar("T")

log = structlog.get_logger()

#: Seconds that another loop has to close what is its own.
_ELSEWHERE_S = 5.0
#: All that are there in this process: only so can a loop that ends close what was made on it, whoever has made it.
_all: "WeakSet[PerLoop[Any]]" = WeakSet()
_all_lock = threading.Lock()


class PerLoop(Generic[T]):
    """One value a running event loop and key, made at first use."""

    def __init__(self, close: Callable[[T], Awaitable[None]] | None = None) -> None:
        self._close = close
        self._values: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, T]] = WeakKeyDictionary()
        self._lock = threading.Lock()
        with _all_lock:
            _all.add(self)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of this loop. Where no loop runs the value is made anew and not kept."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return make()
        with self._lock:
            values = self._values.setdefault(loop, {})
        if key not in values:
            values[key] = make()
        return values[key]

    def values(self) -> list[T]:
        """Those of all loops."""
        with self._lock:
            return [value for values in list(self._values.values()) for value in list(values.values())]

    async def close(self) -> None:
        """Close the values of this loop, and ask the other loops that still run to close theirs. One that stops meanwhile never
        answers: what it had goes with it."""
        here = asyncio.get_running_loop()
        with self._lock:
            taken = dict(self._values.items())
            self._values.clear()
        for loop, values in taken.items():
            for value in values.values():
                if self._close is None:
                    continue
                if loop is here:
                    await self._close(value)
                elif loop.is_running():
                    with suppress(RuntimeError, TimeoutError):
                        closing = asyncio.run_coroutine_threadsafe(self._closing(value), loop)
                        await asyncio.wait_for(asyncio.wrap_future(closing), _ELSEWHERE_S)

    def closing_here(self) -> list[Awaitable[None]]:
        """What closes the values of this loop, which are not given any more."""
        with self._lock:
            values = self._values.pop(asyncio.get_running_loop(), {})
        return [self._closing(value) for value in values.values()]

    async def _closing(self, value: T) -> None:
        if self._close is not None:
            await self._close(value)


async def close_loop() -> None:
    """Close every value of this loop, whoever made it: the last work of a loop that is about to stop. What cannot be closed is
    logged, and keeps nothing else open."""
    with _all_lock:
        every = list(_all)
    closing = [one for each in every for one in each.closing_here()]
    for failed in await asyncio.gather(*closing, return_exceptions=True):
        if isinstance(failed, Exception):
            log.warning("loop.not_closed", exc_info=failed)
