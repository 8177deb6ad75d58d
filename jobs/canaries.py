"""Canaries go on, or are taken back, by their rules: whichever process sees it first does it, and once."""

import asyncio
from typing import Final

import structlog

from core.database import Database
from core.principals import SYSTEM
from core.tables import Registered
from evals.monitors.canaries import verdict_of
from providers.registry.store import Registry

log = structlog.get_logger()

#: Seconds between two looks.
EVERY_S: Final = 5.0


class Canaries:
    """`run` looks until it is cancelled. Several may run at once: a step that another has taken is not taken again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._registry = Registry(database)
        self._failing = False

    async def run(self) -> None:
        """Look now, then every `EVERY_S` seconds. A look that fails is told once, and tried again."""
        while True:
            try:
                await self.look()
                self._failing = False
            except Exception:  # the boundary of a task that must never end
                if not self._failing:
                    log.exception("canaries.not_looked_at")
                self._failing = True
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Judge every canary once."""
        for head in await self._registry.heads(Registered.MODEL):
            verdict = await verdict_of(self._database, head)
            if verdict is None:
                continue
            done = await self._registry.judged(
                SYSTEM, head.name, head.revision, well=verdict.well, reason=verdict.reason, figures=verdict.figures
            )
            if done:
                log.info("canary.judged", alias=head.name, version=head.candidate, well=verdict.well, step=head.step)
