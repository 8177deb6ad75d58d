"""A limit on one wait after the other, within one task, at the price of setting two attributes a wait."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Watch:
    """`asyncio.timeout` sets and cancels a timer for each block, 3 µs for every piece of a stream. Here one timer lasts: it
    looks when the wait of that moment has to be over, and sets itself anew."""

    __slots__ = ("_at", "_cancelling", "_expired", "_loop", "_task", "_timer")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._at = 0.0
        self._cancelling = 0
        self._expired = False

    async def wait(self, work: Awaitable[T], until: float) -> T:
        """The result of `work`. `until` is a time of the running loop's clock.

        Raises:
            TimeoutError: it took longer; the work was cancelled.
        """
        self._task = task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine on a loop runs in a task
        self._cancelling = task.cancelling()
        self._at = until
        if self._timer is None or self._timer.when() > until:
            self._set()
        try:
            return await work
        except asyncio.CancelledError:
            if self._expired and task.uncancel() <= self._cancelling:
                raise TimeoutError from None
            raise
        finally:
            self._task = None

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        self.close()
        self._timer = self._loop.call_at(self._at, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self._loop.time() < self._at:
            self._set()
            return
        self._expired = True
        self._task.cancel()
