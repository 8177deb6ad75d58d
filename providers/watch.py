"""A limit on one wait after the other, within one task, at the price of setting two attributes a wait."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Watch:
    """`asyncio.timeout` sets and cancels a timer for each block, 3 µs for every piece of a stream. Here one timer lasts: it
    looks when the wait of that moment has to be over, and sets itself anew."""

    __slots__ = ("_at", "_cancelling", "_cut", "_loop", "_stopped", "_task", "_timer")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._at = 0.0
        self._cancelling = 0
        self._cut: Exception | None = None
        #: Why what is waited for was cancelled here.
        self._stopped: Exception | None = None

    async def wait(self, work: Awaitable[T], until: float) -> T:
        """The result of `work`. `until` is a time of the running loop's clock.

        Raises:
            TimeoutError: it took longer; the work was cancelled.
            what `cut` was given
        """
        if self._cut is not None:
            _give_up(work)
            raise self._cut
        self._task = task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine on a loop runs in a task
        self._cancelling = task.cancelling()
        self._at = until
        if self._timer is None or self._timer.when() > until:
            self._set()
        try:
            return await work
        except asyncio.CancelledError:
            if self._stopped is not None and task.uncancel() <= self._cancelling:
                raise self._stopped from None
            raise
        finally:
            self._task = None

    def cut(self, error: Exception) -> None:
        """End the wait of this moment, and each later one, with the error. On the loop that it waits on."""
        self._cut = error
        self._stop(error)

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
        self._stop(TimeoutError())

    def _stop(self, error: Exception) -> None:
        if self._task is not None and self._stopped is None:
            self._stopped = error
            self._task.cancel()


def _give_up(work: Awaitable[object]) -> None:
    """Close what is waited for no more, where it has to be."""
    if (close := getattr(work, "close", None)) is not None:
        close()
