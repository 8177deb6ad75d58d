"""Whether Redis or Valkey is there: found out by the way, by whoever asks it something, and told once for all of a process.

A request waits for an answer only as long as it should. A server that is late counts as away, as one does that is gone: nobody
asks it any more but one task in the background, until it answers in time again.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import redis.asyncio as redis
import structlog

from core.transport.refusals import tls_refusal

log = structlog.get_logger()

#: Seconds between two questions to a server that is away.
ASK_S: Final = 0.5
#: A wait is cut into so many parts, each of them begun after the last has ended: a process whose event loop is late itself
#: does not take the server for late.
_PARTS: Final = 8
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
        self.wait_s = wait_s
        self._lock = threading.Lock()
        self._asking: asyncio.Task[None] | None = None
        self.away = self._told = False
        #: How often it was found to be away.
        self.ends = 0

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
        since = self.ends
        try:
            if patient:
                yield self._client()
            else:
                async with in_time(self.wait_s):
                    yield self._client()
        except FAILURES as error:
            self.failed(error, since)
            raise

    def failed(self, error: BaseException, since: int | None = None) -> None:
        """It is away, as this shows. One that was late is asked again at once, before anything is told: it may have been busy
        for a moment. An exchange from before it was away and back (`since`: the `ends` of its beginning) shows nothing."""
        late = isinstance(error, TimeoutError | redis.TimeoutError)
        with self._lock:
            if not self.away and since not in (None, self.ends):
                return
            before, self.away = self.away, True
        if not before:
            self.ends += 1
            self._told = False
            if not late:
                self._tell(error)
        self._ask()

    def _tell(self, error: BaseException) -> None:
        if not self._told:
            self._told = True
            refusal = tls_refusal(error)
            log.warning("redis.away", error=type(error).__name__, **({"tls": refusal} if refusal else {}))

    def _ask(self) -> None:
        with self._lock:
            asking = self._asking
            if asking is None or asking.done() or asking.get_loop().is_closed():
                self._asking = asyncio.get_running_loop().create_task(self._until_back())

    async def _until_back(self) -> None:
        while self.away:
            if self._told:
                await asyncio.sleep(ASK_S)
            try:
                await self._question()  # it may open a connection
                async with in_time(self.wait_s):
                    await self._question()
                # those that were open before may be broken, and each would look like another end of it
                await self._client().connection_pool.disconnect(inuse_connections=False)
            except FAILURES as error:
                self._tell(error)
                continue
            self.away = False
            if self._told:
                log.info("redis.back")

    def _question(self) -> Awaitable[Any]:
        return self._client().set(_ASKED, 1, px=1000)


class Patience:
    """Calls `over` after so many seconds, unless it has ended before; the time that the event loop itself was late does not
    count."""

    __slots__ = ("_left", "_loop", "_over", "_part_s", "_timer")

    def __init__(self, seconds: float, over: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._left, self._part_s, self._over = _PARTS, seconds / _PARTS, over
        self._timer = self._loop.call_later(self._part_s, self._look)

    def end(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        self._left -= 1
        if self._left:
            self._timer = self._loop.call_later(self._part_s, self._look)
        else:
            self._over()


@asynccontextmanager
async def in_time(seconds: float) -> AsyncIterator[None]:
    """Raises TimeoutError where the block takes longer; see `Patience`."""
    async with asyncio.timeout(None) as bound:
        patience = Patience(seconds, lambda: bound.reschedule(asyncio.get_running_loop().time()))
        try:
            yield
        finally:
            patience.end()
