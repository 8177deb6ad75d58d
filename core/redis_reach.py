"""Whether Redis or Valkey is there: found out by the way, by whoever asks it something, and told once for all of a process.

A request waits for an answer only as long as it should. A server that is late counts as away, as one does that is gone: nobody
asks it any more but one task in the background, until it answers in time again. What is late grows with what is usual: a
machine with too much to do is slow at everything, and must not take its Redis for lost.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import redis.asyncio as redis
import structlog

log = structlog.get_logger()

#: Seconds between two questions to a server that is away.
ASK_S: Final = 0.5
#: A wait is cut into so many parts, each of them begun after the last has ended: a process whose event loop is late itself
#: does not take the server for late.
_PARTS: Final = 8
#: How many times the usual time of an answer is late, and the most that this comes to, in seconds.
_TIMES_USUAL: Final = 8
_LATEST_S: Final = 0.5
#: The share of the newest answer in what is usual.
_NEWEST: Final = 0.1
#: A write, since a server that is full or only reads is of no use.
_ASKED: Final = "genai:asked"

#: What a call raises where the server is away, or is found to be.
FAILURES: Final = (redis.RedisError, OSError)


class RedisAway(redis.ConnectionError):
    """The server is known to be away, and was not asked."""


class Reach:
    """Of one server, for a process with several event loops. `client` gives the running loop's."""

    def __init__(self, client: Callable[[], redis.Redis], wait_s: float) -> None:
        self._client = client
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._asking: asyncio.Task[None] | None = None
        self._usual_s = 0.0
        self.away = False

    @asynccontextmanager
    async def asked(self, *, patient: bool = False) -> AsyncIterator[redis.Redis]:
        """The client, for one exchange. `patient`: no request waits for it, so that it may take as long as a socket does.

        Raises:
            RedisAway: it is known to be away.
            redis.RedisError, OSError, TimeoutError: it is found to be.
        """
        if self.away:
            self._ask()
            raise RedisAway
        try:
            if patient:
                yield self._client()
            else:
                began = time.monotonic()
                async with in_time(self._late_s):
                    yield self._client()
                self._usual_s += _NEWEST * (time.monotonic() - began - self._usual_s)
        except FAILURES as error:
            self.failed(error)
            raise

    @property
    def _late_s(self) -> float:
        return max(self._wait_s, min(_TIMES_USUAL * self._usual_s, _LATEST_S))

    def failed(self, error: BaseException) -> None:
        """It is away, as this shows."""
        with self._lock:
            before, self.away = self.away, True
        if not before:
            log.warning("redis.away", error=type(error).__name__)
        self._ask()

    def _ask(self) -> None:
        with self._lock:
            asking = self._asking
            if asking is None or asking.done() or asking.get_loop().is_closed():
                self._asking = asyncio.get_running_loop().create_task(self._until_back())

    async def _until_back(self) -> None:
        while self.away:
            await asyncio.sleep(ASK_S)
            try:
                await self._question()  # it may open a connection
                async with in_time(self._late_s):
                    await self._question()
            except FAILURES:
                continue
            self.away = False
            log.info("redis.back")

    def _question(self) -> Awaitable[Any]:
        return self._client().set(_ASKED, 1, px=1000)


@asynccontextmanager
async def in_time(seconds: float) -> AsyncIterator[None]:
    """Raises TimeoutError where the block takes longer; the time that the event loop itself was late does not count."""
    loop = asyncio.get_running_loop()
    left, part_s = _PARTS, seconds / _PARTS

    timer: asyncio.TimerHandle | None = None

    def look() -> None:
        nonlocal left, timer
        left -= 1
        if left:
            timer = loop.call_later(part_s, look)
        else:
            bound.reschedule(loop.time())

    async with asyncio.timeout(None) as bound:
        timer = loop.call_later(part_s, look)
        try:
            yield
        finally:
            timer.cancel()
