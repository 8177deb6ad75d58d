"""The bounded queue before a model that answers few callers at once. Shared by all threads and event loops of the process."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.errors import RateLimited


@dataclass(eq=False, slots=True)
class _Waiter:
    loop: asyncio.AbstractEventLoop
    granted: "asyncio.Future[None]"


class Slots:
    """`slots` callers at once, `queue` more wait in the order of their coming, and the next one is refused."""

    def __init__(self, slots: int, queue: int) -> None:
        self._slots = slots
        self._queue = queue
        self._free = slots
        self._waiting: deque[_Waiter] = deque()
        self._lock = threading.Lock()
        self._seconds = 2.0  # what a turn takes, decayed

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def busy(self) -> int:
        return self._slots - self._free

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it for the block.

        Raises:
            RateLimited: code `queue_full`, with the seconds after which a slot is likely.
        """
        await self._enter()
        started = time.monotonic()
        try:
            yield
        finally:
            self._seconds += 0.2 * (time.monotonic() - started - self._seconds)
            self._leave()

    async def _enter(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            if len(self._waiting) >= self._queue:
                wait = max(1.0, self._seconds * (len(self._waiting) + 1) / self._slots)
                raise RateLimited(
                    "The local model is busy and its queue is full.", code="queue_full", retry_after_s=round(wait)
                )
            loop = asyncio.get_running_loop()
            waiter = _Waiter(loop, loop.create_future())
            self._waiting.append(waiter)
        try:
            await waiter.granted
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise

    def _withdraw(self, waiter: _Waiter) -> None:
        with self._lock:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                return
        self._leave()  # it was granted while it was being cancelled

    def _leave(self) -> None:
        with self._lock:
            while self._waiting:
                waiter = self._waiting.popleft()
                try:
                    waiter.loop.call_soon_threadsafe(_grant, waiter.granted)
                except RuntimeError:  # its loop has been closed
                    continue
                return
            self._free += 1


def _grant(granted: "asyncio.Future[None]") -> None:
    if not granted.done():
        granted.set_result(None)
