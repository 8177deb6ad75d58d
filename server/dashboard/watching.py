"""One look for everybody: however many watch a tenant, its database is asked about once a second, and not while nobody does."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from sqlmodel import col, select

from core.alerts import AlertKind, Severity
from core.database import Database, utc_now
from core.ledger.minutes import SHAPE
from core.ledger.usage import usage
from core.tables import AlertRow, AlertState, AnomalyState, Budget, MonitorAnomaly
from core.tenancy import ALL
from evals.monitors.metrics import METRICS
from server.dashboard.board import AlertNow, AliasNow, AnomalyNow, BudgetNow, Minutes, Now
from server.dashboard.hour import Hour

if TYPE_CHECKING:
    from core.budgets.budgets import Budgets

#: Seconds between two looks at the ledger. One that takes long is followed by a longer pause: a quarter of the time at most is
#: spent looking. The first one does not count, which finds nothing in any cache.
LOOK_S: Final = 1.0
_PAUSE_FOR_EACH: Final = 3
#: Seconds between two looks at what moves slower: budgets, alerts, and the cost of the day and the month.
_SLOW_LOOK_S: Final = 5.0
#: Seconds after which what nobody has asked for is forgotten.
_FORGET_S: Final = 300.0
_MOST_BUDGETS: Final = 50
_MOST_ANOMALIES: Final = 30
_HOUR: Final = timedelta(hours=1)
#: What of `Seen` is told, in its order.
_TOLD: Final = ("now", "minutes", "aliases", "budgets", "alerts", "anomalies")
_MOST_ALERTS: Final = 20


@dataclass(frozen=True, slots=True)
class Budgeted:
    """A budget, and whether it is one person's, team's or key's."""

    told: BudgetNow
    of_some: bool


@dataclass(frozen=True, slots=True)
class Alerted:
    """An alert, and whether it is the platform's."""

    told: AlertNow
    platform: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen at one look. `number` grows with each look that saw anything else than the one before."""

    number: int
    at: datetime
    now: Now
    minutes: Minutes
    aliases: list[AliasNow]
    budgets: list[Budgeted]
    alerts: list[Alerted]
    anomalies: list[AnomalyNow]


@dataclass(slots=True)
class _Watched:
    """What is kept of a tenant."""

    hour: Hour
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    seen: Seen | None = None
    asked_at: float = 0.0
    next_at: float = 0.0
    slow_at: float = 0.0
    budgets: list[Budgeted] = field(default_factory=list)
    alerts: list[Alerted] = field(default_factory=list)
    anomalies: list[AnomalyNow] = field(default_factory=list)
    today: Decimal = Decimal(0)
    month: Decimal = Decimal(0)


class Watching:
    """One for a process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watched: dict[str | None, _Watched] = {}

    async def look(self, tenant: str | None, budgets: "Budgets") -> Seen:
        """What is to be seen of the tenant, or of all (None): what was seen last, if that is no older than `LOOK_S`."""
        watched = self._of(tenant)
        async with watched.lock:
            if watched.seen is None or time.monotonic() >= watched.next_at:
                began, is_first = time.monotonic(), watched.seen is None
                watched.seen = await self._look(tenant, watched, budgets)
                took = 0.0 if is_first else time.monotonic() - began
                watched.next_at = began + max(LOOK_S, took * (1 + _PAUSE_FOR_EACH))
            return watched.seen

    def _of(self, tenant: str | None) -> _Watched:
        now = time.monotonic()
        for name in [name for name, each in self._watched.items() if each.asked_at < now - _FORGET_S]:
            del self._watched[name]
        watched = self._watched.get(tenant)
        if watched is None:
            watched = self._watched[tenant] = _Watched(Hour(tenant))
        watched.asked_at = now
        return watched

    async def _look(self, tenant: str | None, watched: _Watched, budgets: "Budgets") -> Seen:
        now = utc_now()
        await watched.hour.read(self._database, now)
        if time.monotonic() >= watched.slow_at:
            await self._look_slowly(tenant, watched, budgets, now)
            watched.slow_at = time.monotonic() + _SLOW_LOOK_S
        told = (
            watched.hour.now(now, watched.today, watched.month),
            watched.hour.told(now),
            watched.hour.aliases(now),
            watched.budgets,
            watched.alerts,
            watched.anomalies,
        )
        before = watched.seen
        if before is not None and told == tuple(getattr(before, name) for name in _TOLD):
            return before
        return Seen(1 if before is None else before.number + 1, now, *told)

    async def _look_slowly(self, tenant: str | None, watched: _Watched, budgets: "Budgets", now: datetime) -> None:
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        watched.today = await self._cost(tenant, midnight)
        watched.month = await self._cost(tenant, midnight.replace(day=1))
        watched.budgets = await self._budgets(tenant, budgets, now)
        watched.alerts = await self._alerts(tenant)
        watched.anomalies = await self._anomalies(tenant, now)

    async def _cost(self, tenant: str | None, since: datetime) -> Decimal:
        (whole,) = await usage(self._database, tenant, [], since)
        return whole.cost_usd

    async def _budgets(self, tenant: str | None, budgets: "Budgets", now: datetime) -> list[Budgeted]:
        async with self._database.session(tenant, all_tenants=tenant is None) as session:
            query = select(Budget) if tenant is None else select(Budget).where(Budget.tenant == tenant)
            rows = (await session.exec(query.order_by(col(Budget.created_at)).limit(_MOST_BUDGETS))).all()
        found = []
        for row in rows:
            standing = await budgets.standing(row)
            length = standing.end - standing.begin if standing.end is not None else None
            scope = [f"{kind} {value}" for kind in ("alias", "team", "user", "key") if (value := getattr(row, kind))]
            told = BudgetNow(
                id=row.id,
                name=row.name,
                tenant=row.tenant,
                scope=", ".join(scope) or "tenant",
                unit="tokens" if row.limit_usd is None else "usd",
                spent=float(standing.spent),
                limit=float(row.limit_usd if row.limit_usd is not None else row.limit_tokens or 0),
                window=row.window,
                elapsed=round((now - standing.begin) / length, 4) if length else None,
                resets_at=standing.end,
            )
            found.append(Budgeted(told, any(getattr(row, kind) for kind in ("team", "user", "key"))))
        return sorted(found, key=lambda one: -(one.told.spent / one.told.limit if one.told.limit else 1))

    async def _alerts(self, tenant: str | None) -> list[Alerted]:
        query = select(AlertRow).where(AlertRow.state == AlertState.FIRING.value)
        if tenant is not None:
            query = query.where(AlertRow.tenant == tenant)
        async with self._database.session(tenant, all_tenants=tenant is None) as session:
            rows = (await session.exec(query.order_by(col(AlertRow.first_seen).desc()).limit(_MOST_ALERTS))).all()
        return [Alerted(_alert(row), row.platform) for row in rows]

    async def _anomalies(self, tenant: str | None, now: datetime) -> list[AnomalyNow]:
        begun = col(MonitorAnomaly.since)
        fits = (col(MonitorAnomaly.state) == AnomalyState.OPEN.value) | (begun >= now - _HOUR)
        query = select(MonitorAnomaly).where(MonitorAnomaly.tenant == (tenant or ALL), fits)
        async with self._database.session(tenant, all_tenants=tenant is None) as session:
            rows = (await session.exec(query.order_by(begun.desc()).limit(_MOST_ANOMALIES))).all()
        return [_anomaly(row, now) for row in rows]


def _alert(row: AlertRow) -> AlertNow:
    degraded = row.facts if row.kind == AlertKind.DEGRADATION else {}
    return AlertNow(
        id=row.id,
        kind=AlertKind(row.kind),
        severity=Severity(row.severity),
        subject=row.subject,
        since=datetime.fromisoformat(degraded["since"]) if "since" in degraded else row.first_seen,
        cause=_in_words({"blamed": degraded.get("cause"), "why": degraded.get("why")}),
    )


def _in_words(cause: Mapping[str, Any]) -> str:
    return ": ".join(str(cause[name]) for name in ("blamed", "why") if cause.get(name))


def _anomaly(row: MonitorAnomaly, now: datetime) -> AnomalyNow:
    told = row.model_dump(include=set(AnomalyNow.model_fields))
    unit = METRICS[row.metric].unit if row.metric in METRICS else ""
    minute = row.since.astimezone(UTC).strftime(SHAPE) if row.since > now - _HOUR else None
    return AnomalyNow.model_validate(told | {"unit": unit, "minute": minute, "cause": _in_words(row.cause)})
