"""Spending of a tenant in the last hour, against the hours of its last week in which it spent anything."""

import time
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from sqlmodel import func, select

from core.alerts import AlertKind
from core.database import Database, utc_now
from core.money import Money
from core.settings import AlertSettings
from core.tables import AlertRow, LedgerRow
from evals.monitors.verdicts import WELL_BELOW, Finding

#: Hours with spending that a tenant needs before one of them can stand out.
LEAST_HOURS: Final = 6
_WEEK: Final = timedelta(days=7)
_HOUR: Final = timedelta(hours=1)
#: Seconds for which what is usual is believed.
_BELIEVED_S: Final = 1800.0
_ROW: Any = LedgerRow.__table__.c  # type: ignore[attr-defined]


class SpendingMonitor:
    """Looks at all tenants."""

    kinds = frozenset({AlertKind.SPEND_SPIKE})

    def __init__(self, database: Database, settings: AlertSettings) -> None:
        self._database = database
        self._settings = settings
        self._usual: dict[str, Decimal] = {}
        self._read_at = -_BELIEVED_S
        self._last: dict[str, Decimal] = {}

    async def look(self) -> list[Finding]:
        """The tenants that spend far more than they are used to."""
        if time.monotonic() >= self._read_at + _BELIEVED_S:
            self._usual = await self._read_usual()
            self._read_at = time.monotonic()
        begin = utc_now() - _HOUR
        query = select(_ROW.tenant, func.sum(_ROW.cost_usd, type_=Money)).where(_ROW.at >= begin).group_by(_ROW.tenant)
        self._last = {tenant: spent or Decimal(0) for tenant, spent in await self._rows(query)}
        found = []
        for tenant, spent in self._last.items():
            if (limit := self._limit(tenant)) is not None and spent >= limit:
                facts = {"spent_usd": float(round(spent, 6)), "usual_usd": float(round(self._usual[tenant], 6)), "hours": 1}
                found.append(Finding(AlertKind.SPEND_SPIKE, tenant, tenant, facts))
        return found

    def is_over(self, alert: AlertRow) -> bool:
        """Once an hour is near the usual again."""
        limit = self._limit(alert.tenant)
        return limit is None or self._last.get(alert.tenant, Decimal(0)) < limit * Decimal(WELL_BELOW)

    def _limit(self, tenant: str) -> Decimal | None:
        usual = self._usual.get(tenant)
        if usual is None:
            return None
        return max(usual * Decimal(self._settings.spike_factor), Decimal(self._settings.spike_least_usd))

    async def _read_usual(self) -> dict[str, Decimal]:
        """The mean of the hours in which a tenant spent anything; none for who has too few of them."""
        now = utc_now()
        if self._database.is_sqlite:
            hour: Any = func.strftime("%Y-%m-%dT%H", _ROW.at)
        else:
            hour = func.date_trunc("hour", _ROW.at)
        query = (
            select(_ROW.tenant, func.sum(_ROW.cost_usd, type_=Money))
            .where(_ROW.at >= now - _WEEK, _ROW.at < now - _HOUR, _ROW.cost_usd > Decimal(0))
            .group_by(_ROW.tenant, hour)
        )
        hours: dict[str, list[Decimal]] = defaultdict(list)
        for tenant, spent in await self._rows(query):
            hours[tenant].append(spent)
        return {tenant: sum(each, Decimal(0)) / len(each) for tenant, each in hours.items() if len(each) >= LEAST_HOURS}

    async def _rows(self, query: Any) -> Any:
        async with self._database.session(all_tenants=True) as session:
            return (await (await session.connection()).execute(query)).all()
