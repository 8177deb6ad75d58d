"""Comparing the counters of budgets with the ledger: what they have missed is counted, once.

A process that is killed between the ledger and the counter, and a server that was away, leave a counter behind. How far it has
been compared is written in itself, so that whoever comes next goes on from there, in whatever process.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core.budgets import counters
from core.budgets.counters import TICK_MS
from core.budgets.rules import Rule
from core.budgets.windows import milliseconds, moment
from core.redis_batches import ScriptBatches

log = structlog.get_logger()

#: What is younger the ledger may not have yet: it commits within milliseconds, and clocks differ.
_COMMITTED_MS: Final = 5_000
#: Seconds that a request waits for the ledger.
_WAIT_S: Final = 1.0


class Comparing:
    """`spent` gives what the ledger has of a rule by bucket, before one moment and since another (None: its window's begin).
    It blocks."""

    def __init__(self, spent: Callable[[Rule, datetime, datetime | None], Mapping[int, int]]) -> None:
        self._spent = spent

    async def make(self, batches: ScriptBatches, rule: Rule, now: datetime) -> None:
        """Make a counter that is not known."""
        await self._compare(batches, rule, milliseconds(now), now, since_ms=None, again=True)

    async def now(self, batches: ScriptBatches, rule: Rule, now: datetime) -> None:
        """Compare with all that the ledger has by now, as far as it can be asked in time. What it is still to have is found by
        the next comparison."""
        if (found := await counters.compared(batches, rule.key_in_redis)) is None:
            return  # it is made as soon as it is asked
        since_ms, again = found
        try:
            async with asyncio.timeout(_WAIT_S):
                since_ms = None if again else since_ms
                await self._compare(batches, rule, milliseconds(now), now, since_ms=since_ms, again=True)
        except (SQLAlchemyError, TimeoutError) as error:
            log.debug("budgets.not_compared", counter=rule.counter, error=type(error).__name__)

    async def late(self, batches: ScriptBatches, rule: Rule, now: datetime, compared_s: float) -> None:
        """Compare with what the ledger has for sure, unless that was done within so many seconds."""
        until_ms = (milliseconds(now) - _COMMITTED_MS) // TICK_MS * TICK_MS
        found = await counters.compared(batches, rule.key_in_redis)
        if found is None or (found[0] or 0) >= until_ms - compared_s * 1000:
            return
        since_ms, again = found
        try:
            await self._compare(batches, rule, until_ms, now, since_ms=None if again else since_ms, again=False)
        except SQLAlchemyError as error:
            log.debug("budgets.not_compared", counter=rule.counter, error=type(error).__name__)

    async def _compare(
        self, batches: ScriptBatches, rule: Rule, until_ms: int, now: datetime, *, since_ms: int | None, again: bool
    ) -> None:
        since = None if since_ms is None else moment(since_ms)
        found = await asyncio.to_thread(self._spent, rule, moment(until_ms), since)
        expire_s = rule.window.buckets(now).expire_s
        await counters.compare(
            batches, rule.key_in_redis, found, since_ms=since_ms, until_ms=until_ms, again=again, expire_s=expire_s
        )
