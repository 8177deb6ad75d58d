"""Blocking work on which somebody else's server decides how long it takes, in threads of its own.

The event loop's default threads are few and all of the platform's: work that hangs in them stands in everything else's way.
"""

import asyncio
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class JoinedWork(Generic[T]):
    """Of each kind of work, named by a key, one is done at a time: whoever asks meanwhile waits for that one. It goes on to its
    end, whoever leaves. The threads do not hold up the end of the process."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: dict[Hashable, Future[T]] = {}
        self._lock = threading.Lock()

    async def of(self, key: Hashable, work: Callable[[], T]) -> T:
        """What the work under this key gives, or raises. Leaving ends the wait alone."""
        return await asyncio.wrap_future(self._begun(key, work))

    def wait(self, key: Hashable, work: Callable[[], T]) -> T:
        """The same. Blocking."""
        return self._begun(key, work).result()

    def _begun(self, key: Hashable, work: Callable[[], T]) -> "Future[T]":
        with self._lock:
            if (running := self._running.get(key)) is not None:
                return running
            future: Future[T] = Future()
            future.set_running_or_notify_cancel()  # from here on nobody who leaves can cancel it for the others
            self._running[key] = future
        threading.Thread(target=self._do, args=(key, future, work), name=self._name, daemon=True).start()
        return future

    def _do(self, key: Hashable, future: "Future[T]", work: Callable[[], T]) -> None:
        try:
            given = work()
        except BaseException as error:  # noqa: BLE001 - it is raised where the work is waited for
            self._end(key)
            future.set_exception(error)
        else:
            self._end(key)
            future.set_result(given)

    def _end(self, key: Hashable) -> None:
        with self._lock:
            del self._running[key]
