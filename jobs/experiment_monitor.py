"""Looks at the experiments that run: tells where shares are wrong, ends those whose rules say so, promotes what has won."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from core.alerts import AlertKind, raise_alert
from core.database import utc_now
from core.principals import SYSTEM
from core.tables import Experiment
from evals.experiments.analysis import Results, analyse
from evals.experiments.book import ExperimentBook
from evals.experiments.ending import ending_of
from evals.experiments.outcomes import Outcomes
from evals.experiments.shown import told_results
from evals.experiments.versions import Versioned
from jobs.base import JobContext
from providers.experiment_definition import Definition

log = structlog.get_logger()

#: Seconds between two looks at the same experiment, whichever process has them.
EVERY_S: Final = 60.0


class ExperimentMonitor:
    """`run` looks until it is cancelled. Several may run at once: each look at an experiment is one's."""

    def __init__(self, context: JobContext, versions: Versioned, every_s: float = EVERY_S) -> None:
        self._changes, self._database = context.library.resources.models.changes, context.database
        self._book = ExperimentBook(context.database, versions)
        self._outcomes = Outcomes(context.database)
        self._every_s = every_s
        self._failing = False

    async def run(self) -> None:
        """Look now, then every so often."""
        while True:
            try:
                await self.look()
                self._failing = False
            except Exception:  # the boundary of a task that must never end
                if not self._failing:
                    log.exception("experiment_monitor.failing")
                self._failing = True
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """One look at those that are due."""
        for row in await self._book.claim(timedelta(seconds=self._every_s / 2)):
            await self._look_at(row)
        for row in await self._book.unpromoted():
            await self._book.promote(SYSTEM, row)

    async def _look_at(self, row: Experiment) -> None:
        if row.started_at is None:
            return
        definition = Definition.model_validate(row.definition)
        results = await asyncio.to_thread(analyse, definition, await self._outcomes.units(row))
        if results.ratio.mismatch:
            _tell(row, results)
        ending = ending_of(definition, results, row.started_at, utc_now())
        if ending is not None:
            verdict = {"results": told_results(definition, results)}
            await self._book.end(SYSTEM, row, ending, verdict=verdict, promote=definition.rules.promote)
            await self._changes.load(self._database)


def _tell(row: Experiment, results: Results) -> None:
    raise_alert(
        AlertKind.SAMPLE_RATIO,
        key=row.id,
        tenant=None if row.everywhere else row.tenant,
        experiment=row.name,
        alias=row.alias,
        units=", ".join(map(str, results.units)),
        expected=", ".join(f"{each:.0f}" for each in results.ratio.expected),
        p=f"{results.ratio.p:.1g}",
    )
