"""Connections to a provider whose SDK lets a call wait for one without a word, as if the provider were silent."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager

from providers import wire


class OwnConnections:
    """So many as calls may have at once, on all event loops together."""

    def __init__(self, limit: int) -> None:
        self._limit = self._free = limit
        self._waiting: deque[Future[None]] = deque()
        self._lock = threading.Lock()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """One for the block.

        Raises:
            ConnectionsBusy: none was free for as long as a call may wait.
        """
        place = self._asked()
        if place is not None:
            await self._waited(place)
        try:
            yield
        finally:
            self._give()

    def use(self) -> wire.Connections:
        return wire.Connections(in_use=self._limit - self._free, idle=0, limit=self._limit)

    def _asked(self) -> "Future[None] | None":
        """A place in the queue; None where a connection is free, which is taken."""
        with self._lock:
            if self._free:
                self._free -= 1
                return None
            place: Future[None] = Future()
            self._waiting.append(place)
            return place

    async def _waited(self, place: "Future[None]") -> None:
        try:
            async with asyncio.timeout(wire.wait_s()):
                await asyncio.wrap_future(place)
        except BaseException as error:
            with self._lock:
                given = not place.cancel()
            if given:
                self._give()
            if isinstance(error, TimeoutError):
                raise wire.busy() from None
            raise

    def _give(self) -> None:
        with self._lock:
            while self._waiting:
                place = self._waiting.popleft()
                if place.set_running_or_notify_cancel():
                    place.set_result(None)
                    return
            self._free += 1
