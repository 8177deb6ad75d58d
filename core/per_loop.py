"""What belongs to one event loop, such as a connection pool, for a process that runs several of them.

The server, the embedded worker and synchronous callers each have a loop of their own, and share providers.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

#: Seconds that another loop has to close what is its own.
_ELSEWHERE_S = 5.0


class PerLoop(Generic[T]):
    """One value a running event loop and key, made at first use."""

    def __init__(self, close: Callable[[T], Awaitable[None]] | None = None) -> None:
        self._close = close
        self._values: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, T]] = WeakKeyDictionary()
        self._lock = threading.Lock()

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

    async def _closing(self, value: T) -> None:
        if self._close is not None:
            await self._close(value)
