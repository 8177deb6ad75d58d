"""How long a run waits for what a provider refuses for now: each example for itself, and all of them together."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from core.errors import PlatformError

log = structlog.get_logger()

#: Calls of one example that may fail for a while (a rate limit, a provider that is away) before it has failed.
TRIES = 6
#: Seconds between them: doubled each time, at random, and never less than the provider asks for.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
#: Seconds without any answer, after which examples are asked once and not waited for.
PATIENCE_S = 120.0
#: Examples that have then failed one after the other, and the run is over.
MOST_IN_VAIN = 10

T = TypeVar("T")


@dataclass(slots=True)
class Patience:
    """Of one run, from now on. `lost`: why no more of its examples are to be asked, a code; None while they are."""

    lost: str | None = None
    _answered_at: float = field(default_factory=time.monotonic)
    _in_vain: int = 0
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What the call gives, which is made again while there is hope. Raises PlatformError as the call does."""
        for tried in range(1, TRIES + 1):
            try:
                given = await ask()
            except PlatformError as error:
                if not error.retryable:
                    raise
                pause_s = random.uniform(0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**tried))  # noqa: S311 - no secret
                pause_s = max(pause_s, error.retry_after_s or 0)
                if tried == TRIES or pause_s > 15 * LONGEST_PAUSE_S or self._is_out(tried):
                    self._give_up(error.code)
                    raise
                log.info("evaluation.example_waits", code=error.code, pause_s=round(pause_s, 1))
            else:
                self._answered_at, self._in_vain = time.monotonic(), 0
                return given
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._over.wait()
        raise AssertionError("the last try returns or raises")

    def _is_out(self, tried: int) -> bool:
        """Until one has failed in vain each example is tried twice: an answer may take longer than we wait for one."""
        return time.monotonic() - self._answered_at >= PATIENCE_S and (self._in_vain > 0 or tried > 1)

    def _give_up(self, code: str) -> None:
        self._in_vain += 1
        if self._in_vain >= MOST_IN_VAIN and self._is_out(TRIES):
            self.lost = code
            self._over.set()
