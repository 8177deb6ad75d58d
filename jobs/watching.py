"""Watches the ledger, in every worker: each point is seen by one of them."""

import asyncio
import time

import structlog

from evals.monitors.watching import Watch
from jobs.base import JobContext

log = structlog.get_logger()

_FORGET_EVERY_S = 3600.0


class Watcher:
    """`run` watches until it is cancelled. Several may run at once."""

    def __init__(self, context: JobContext) -> None:
        self._settings = context.settings.monitors
        self._watch = Watch(context.database, self._settings)
        self._failing = False
        self._forget_at = time.monotonic() + _FORGET_EVERY_S

    async def run(self) -> None:
        """See now what there is, then every `monitors.every_s` seconds."""
        while self._settings.on:
            try:
                await self._watch.catch_up()
                if time.monotonic() >= self._forget_at:
                    await self._watch.forget()
                    self._forget_at = time.monotonic() + _FORGET_EVERY_S
                self._failing = False
            except Exception:  # the boundary of a task that must never end
                if not self._failing:
                    log.warning("watcher.failing", exc_info=True)
                self._failing = True
            await asyncio.sleep(self._settings.every_s)
