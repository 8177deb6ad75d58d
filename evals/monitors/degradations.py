"""Degradations: deployments that do worse than their own baseline, each told of once for what is likely to blame."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlmodel import col, func, select, update

from core.alerts import AlertKind
from core.database import Database, utc_now
from core.settings import Settings
from core.tables import AlertRow, AnomalyState, MonitorAnomaly, MonitorPoint
from core.tenancy import ALL
from evals.monitors.causes import BEFORE, NOTHING_TO_COMPARE, Blamed, Cause, likely_cause
from evals.monitors.metrics import METRICS
from evals.monitors.points import Named, sums_between
from evals.monitors.verdicts import Finding

#: Without calls for so long, nothing says that it still goes wrong.
_SILENT: Final = timedelta(hours=1)
#: How long it is waited for calls enough to say what is to blame.
_WAITED: Final = timedelta(hours=1)
#: What a tenant's calls and all calls show of a series is the same change where both begin within so long.
_TOGETHER: Final = timedelta(hours=2)
#: Tenants' anomalies whose cause one look finds by their own calls.
_OWN_AT_ONCE: Final = 20
#: Anomalies that one look goes through at most: those that began last.
_MOST: Final = 500


class DegradationMonitor:
    """Looks at what `Watch` has found of the whole installation."""

    kinds = frozenset({AlertKind.DEGRADATION})

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings.monitors
        self._regions = {
            (alias.alias, deployment.provider, deployment.model): deployment.region
            for alias in settings.models
            for deployment in alias.deployments
            if deployment.region
        }
        self._found: set[str] = set()

    async def look(self) -> list[Finding]:
        """Those that go on, with what is to blame."""
        if not self._settings.on:
            self._found = set()
            return []
        causes = [(anomaly, await self._cause_of(anomaly)) for anomaly in await self._going_on()]
        found = [(anomaly, cause) for anomaly, cause in causes if cause is not None]
        await self._tell_tenants(found)
        by_key: dict[str, list[tuple[MonitorAnomaly, Cause]]] = defaultdict(list)
        for anomaly, cause in found:
            by_key[_key_of(anomaly, cause)].append((anomaly, cause))
        self._found = set(by_key)
        return [Finding(AlertKind.DEGRADATION, key, None, self._facts(each)) for key, each in by_key.items()]

    def is_over(self, alert: AlertRow) -> bool:
        """Once none of its series is worse any more, or nothing is called there."""
        return alert.key not in self._found

    async def _going_on(self) -> list[MonitorAnomaly]:
        query = select(MonitorAnomaly).where(
            MonitorAnomaly.tenant == ALL, MonitorAnomaly.state == AnomalyState.OPEN.value, col(MonitorAnomaly.worse)
        )
        async with self._database.session(all_tenants=True) as session:
            rows = (await session.exec(query.order_by(col(MonitorAnomaly.since).desc()).limit(_MOST))).all()
            rows = [row for row in rows if self._matters(row)]
            last = select(MonitorPoint.series, func.max(MonitorPoint.at)).where(
                col(MonitorPoint.series).in_({row.series for row in rows}), MonitorPoint.at > utc_now() - _SILENT
            )
            heard = {series for series, _ in (await session.exec(last.group_by(MonitorPoint.series))).all()} if rows else set()
        return sorted((row for row in rows if row.series in heard), key=lambda row: (row.since, row.id))

    def _matters(self, row: MonitorAnomaly) -> bool:
        metric = METRICS.get(row.metric)
        return metric is not None and metric.matters(row.before, row.after, self._settings)

    async def _cause_of(self, row: MonitorAnomaly) -> Cause | None:
        """As it was found first: who is told of a cause is not told of another for the same. None: it is too early to say."""
        if row.cause:
            return Cause(Blamed(row.cause["blamed"]), row.cause["why"])
        cause = await self._compared(row)
        if cause is None:
            if utc_now() - row.since < _WAITED:
                return None
            cause = Cause(Blamed.UNKNOWN, NOTHING_TO_COMPARE)
        await self._put(row, cause)
        return cause

    async def _tell_tenants(self, known: Sequence[tuple[MonitorAnomaly, Cause]]) -> None:
        """Put down with tenants' own anomalies what is to blame: as all calls show it where these show the same change, which
        says something of a deployment and nothing of who else calls it; else as the tenant's calls do."""
        by_series: dict[tuple[str, str], list[tuple[MonitorAnomaly, Cause]]] = defaultdict(list)
        for row, cause in known:
            by_series[row.series, row.metric].append((row, cause))
        looked = 0
        for row in await self._of_tenants():
            same = (cause for of_all, cause in by_series[row.series, row.metric] if abs(of_all.since - row.since) <= _TOGETHER)
            if (found := next(same, None)) is None:
                if looked >= _OWN_AT_ONCE:
                    continue
                looked += 1
                found = await self._compared(row, row.tenant) or Cause(Blamed.UNKNOWN, NOTHING_TO_COMPARE)
                if found.blamed is Blamed.UNKNOWN and utc_now() - row.since < _WAITED:
                    continue
            await self._put(row, found)

    async def _of_tenants(self) -> list[MonitorAnomaly]:
        """Those that matter and have no cause yet, the oldest first."""
        query = select(MonitorAnomaly).where(
            MonitorAnomaly.tenant != ALL, MonitorAnomaly.state == AnomalyState.OPEN.value, col(MonitorAnomaly.worse)
        )
        async with self._database.session(all_tenants=True) as session:
            rows = (await session.exec(query.order_by(col(MonitorAnomaly.since).desc()).limit(_MOST))).all()
        return [row for row in reversed(rows) if not row.cause and self._matters(row)]

    async def _compared(self, row: MonitorAnomaly, tenant: str | None = None) -> Cause | None:
        """What the tenant's calls say, or all (None)."""
        before = await sums_between(self._database, row.since - BEFORE, row.since, tenant)
        since = await sums_between(self._database, row.since, utc_now(), tenant)
        named = Named(row.alias, row.provider, row.model, row.version)
        return likely_cause(named, METRICS[row.metric], before, since)

    async def _put(self, row: MonitorAnomaly, cause: Cause) -> None:
        async with self._database.transaction(all_tenants=True) as session:
            told = {"blamed": cause.blamed.value, "why": cause.why}
            await session.exec(update(MonitorAnomaly).where(col(MonitorAnomaly.id) == row.id).values(cause=told))

    def _facts(self, found: Sequence[tuple[MonitorAnomaly, Cause]]) -> Mapping[str, Any]:
        first, cause = found[0]
        facts: dict[str, Any] = {
            "metric": first.metric,
            "cause": cause.blamed.value,
            "why": cause.why,
            "since": _minute(first.since),
            "before": float(f"{first.before:.4g}"),
            "now": float(f"{first.after:.4g}"),
            "unit": METRICS[first.metric].unit,
            "series": len(found),
        }
        names = {name: sorted({getattr(row, name) for row, _ in found}) for name in Named._fields}
        facts |= {name: ", ".join(each[:5]) for name, each in names.items() if any(each)}
        regions = {self._regions.get((row.alias, row.provider, row.model)) for row, _ in found} - {None}
        return facts | ({"region": ", ".join(sorted(each for each in regions if each))} if regions else {})


def _key_of(row: MonitorAnomaly, cause: Cause) -> str:
    """The same for all series that have the same to blame."""
    version = f"#{row.version}" if row.version else ""
    of = {
        Blamed.EVERYTHING: "everything",
        Blamed.PROVIDER: row.provider,
        Blamed.DEPLOYMENT: f"{row.provider}/{row.model}",
        Blamed.VERSION: f"{row.alias}{version}",
        Blamed.UNKNOWN: f"{row.alias}{version}:{row.provider}/{row.model}",
    }
    return f"{row.metric}:{of[cause.blamed]}"


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%MZ}"
