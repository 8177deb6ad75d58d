"""Grades live traffic, in every worker: each answer that is drawn is graded by one of them."""

import asyncio

import structlog

from evals.monitors.grading import LiveGrading
from jobs.base import JobContext

log = structlog.get_logger()


class Grader:
    """`run` grades until it is cancelled; it ends where nothing is to be graded."""

    def __init__(self, context: JobContext) -> None:
        self._settings = context.settings.monitors
        self._grading = LiveGrading(context.database, context.library.resources.models, self._settings.grading)

    async def run(self) -> None:
        """Look now, then every `monitors.every_s` seconds."""
        failing = False
        while self._settings.on and self._settings.grading:
            try:
                await self._grading.look()
                failing = False
            except Exception:  # the boundary of a task that must never end
                if not failing:
                    log.warning("grader.failing", exc_info=True)
                failing = True
            await asyncio.sleep(self._settings.every_s)
