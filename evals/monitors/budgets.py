"""Budgets: that a share of one is used, and that one is used up before its window ends if it goes on so."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from sqlmodel import col, select

from core.alerts import AlertKind
from core.budgets import Budgets
from core.database import Database, utc_now
from core.tables import AlertRow, Budget
from evals.monitors.verdicts import WELL_BELOW, Finding

SHARES: Final = (1.0, 0.8, 0.5)
#: The part of a window that has to be over before its pace says anything.
_TELLING: Final = 0.1
#: Budgets that one look asks the ledger for, while what counts them is away.
_MOST_UNCOUNTED: Final = 50
#: Seconds after which a budget's counter is compared with the ledger again.
_COMPARED_S: Final = 20
#: The time that a request may take until what it took is known.
_SETTLED: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _Used:
    """A budget now: the shares of its limit that are used, and that will be when its window ends (None: nothing says). `since`
    is the day that the window began on, empty for one that rolls. `held` is the share that requests under way have reserved;
    `changed_at` when the budget was changed."""

    share: float
    held: float
    forecast: float | None
    since: str
    changed_at: datetime


class BudgetMonitor:
    """Looks at the budgets of all tenants."""

    kinds = frozenset({AlertKind.BUDGET_USED, AlertKind.BUDGET_FORECAST})

    def __init__(self, database: Database, budgets: Budgets) -> None:
        self._database = database
        self._budgets = budgets
        self._now: dict[str, _Used] = {}
        self._complete = False

    async def look(self) -> list[Finding]:
        """The highest share that each budget has reached, and the budgets that will not last."""
        async with self._database.session(all_tenants=True) as session:
            rows = (await session.exec(select(Budget).order_by(col(Budget.id)))).all()
        found: list[Finding] = []
        self._now, self._complete, uncounted = {}, False, 0
        for row in rows:
            standing = await self._budgets.standing(row, compared_s=_COMPARED_S)
            uncounted += not standing.counted
            if uncounted > _MOST_UNCOUNTED:
                return found
            limit = row.limit_usd if row.limit_usd is not None else Decimal(row.limit_tokens or 0)
            share = float(standing.spent / limit) if limit else 1.0
            since = "" if standing.end is None else f"{standing.begin:%Y-%m-%d}"
            held = float(standing.reserved / limit) if limit and standing.reserved is not None else 0.0
            used = _Used(share, held, _forecast(share, standing.begin, standing.end), since, row.changed_at)
            self._now[row.id] = used
            found += _findings(row, used)
        self._complete = True
        return found

    def is_over(self, alert: AlertRow) -> bool:
        """Over with its window, with the budget, or where a limit was raised. What a calendar window has used it has used,
        though a request that reached the share in advance took less in the end."""
        used = self._now.get(str(alert.subject.get("budget")))
        if used is None:
            return self._complete
        if alert.key.partition("@")[2] != used.since:
            return True
        if alert.kind == AlertKind.BUDGET_FORECAST:
            return used.share < 1 and (used.forecast is None or used.forecast < WELL_BELOW)
        may_fall = alert.last_seen < (utc_now() - _SETTLED if not used.since else used.changed_at)
        return may_fall and used.share + used.held < WELL_BELOW * float(alert.facts.get("share", 1.0))


def _findings(row: Budget, used: _Used) -> list[Finding]:
    begun = f"@{used.since}" if used.since else ""
    facts = {"budget": row.id, "name": row.name, "window": row.window, "since": used.since, "used": round(used.share, 3)}
    found = []
    if (share := next((share for share in SHARES if used.share >= share), None)) is not None:
        key = f"{row.id}:{share:.0%}{begun}"
        found.append(Finding(AlertKind.BUDGET_USED, key, row.tenant, facts | {"share": share}))
    if used.share < 1 and used.forecast is not None and used.forecast > 1:
        more = {"forecast": round(used.forecast, 3)}
        found.append(Finding(AlertKind.BUDGET_FORECAST, f"{row.id}:forecast{begun}", row.tenant, facts | more))
    return found


def _forecast(share: float, begin: datetime, end: datetime | None) -> float | None:
    """The share that is used when the window ends, at its pace so far. A window that rolls has no end."""
    if end is None:
        return None
    over = (utc_now() - begin) / (end - begin)
    return share / over if over >= _TELLING else None
