"""Looks now and then for trouble that no single call shows, and tells when what was told of is over."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog
from sqlmodel import col, select

from core.alerts import AlertKind, raise_alert, recover_alert
from core.alerts.claims import TOLD_ONCE
from core.database import utc_now
from core.tables import AlertRow, AlertState
from evals.monitors.answers import AnswerMonitor
from evals.monitors.budgets import BudgetMonitor
from evals.monitors.degradations import DegradationMonitor
from evals.monitors.deployments import DeploymentMonitor
from evals.monitors.drifts import DriftMonitor
from evals.monitors.generations import GenerationMonitor
from evals.monitors.spending import SpendingMonitor
from evals.monitors.spool import SpoolMonitor
from evals.monitors.verdicts import Finding, Monitor
from jobs.base import JobContext

log = structlog.get_logger()

#: What was not seen again for so long, and nobody has said to be over, is taken for it.
FORGOTTEN: Final = timedelta(days=7)


class AlertMonitor:
    """`run` looks until it is cancelled. Several may run at once: what they find is told once."""

    def __init__(self, context: JobContext) -> None:
        database, settings, models = context.database, context.settings, context.library.resources.models
        self._database = database
        self._every_s = settings.alerts.every_s
        self._window = timedelta(seconds=settings.alerts.window_s)
        self._monitors: list[Monitor] = [
            BudgetMonitor(database, models.budgets),
            SpendingMonitor(database, settings.alerts),
            DeploymentMonitor(database, settings.alerts),
            AnswerMonitor(database),
            DegradationMonitor(database, settings),
            DriftMonitor(database, settings.monitors),
            GenerationMonitor(database, models),
            SpoolMonitor(settings.path("ledger")),
        ]
        self._failing: set[str] = set()

    async def run(self) -> None:
        """Look now, then every `alerts.every_s` seconds."""
        while True:
            await self.look()
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """One look of each monitor. One that fails keeps no other from looking, and is told once, with those that fail with
        it."""
        failing: dict[str, Exception] = {}
        for monitor in self._monitors:
            try:
                await self._tell(monitor, await monitor.look())
            except Exception as error:  # noqa: BLE001 - the boundary of a task that must never end
                failing[type(monitor).__name__] = error
        try:
            await self._forget()
        except Exception as error:  # noqa: BLE001 - as above
            failing["forgetting"] = error
        if new := failing.keys() - self._failing:
            log.warning("alert_monitor.failing", monitors=sorted(new), exc_info=failing[min(new)])
        self._failing = set(failing)

    async def _tell(self, monitor: Monitor, found: list[Finding]) -> None:
        async with self._database.session(all_tenants=True) as session:
            firing = (
                await session.exec(
                    select(AlertRow).where(
                        AlertRow.state == AlertState.FIRING.value,
                        col(AlertRow.kind).in_([kind.value for kind in monitor.kinds]),
                    )
                )
            ).all()
        wrong = {(each.kind.value, each.key): each for each in found}
        known = {(row.kind, row.key): row for row in firing}
        for identity, each in wrong.items():
            row = known.get(identity)
            again = each.kind not in TOLD_ONCE and row is not None and row.told_at <= utc_now() - self._window
            if row is None or again:
                raise_alert(each.kind, key=each.key, tenant=each.tenant, **each.facts)
        for row in firing:
            if (row.kind, row.key) not in wrong and monitor.is_over(row):
                _recover(row)

    async def _forget(self) -> None:
        old = (
            col(AlertRow.state) == AlertState.FIRING.value,
            col(AlertRow.last_seen) < utc_now() - FORGOTTEN,
            col(AlertRow.kind).not_in([kind.value for kind in TOLD_ONCE]),
        )
        async with self._database.session(all_tenants=True) as session:
            rows = (await session.exec(select(AlertRow).where(*old).limit(100))).all()
        for row in rows:
            _recover(row)


def _recover(row: AlertRow) -> None:
    tenant = None if row.platform else row.tenant
    recover_alert(AlertKind(row.kind), key=row.key, tenant=tenant, known=True, **row.subject)
