"""The last hour of a tenant, kept by the minute: read whole at first, and then its last minutes again and again."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from core.database import Database
from core.ledger.latencies import quantile
from core.ledger.minutes import SHAPE, Minute, Sums, minutes
from server.dashboard.board import AliasNow, Minutes, Now

LENGTH: Final = 60
#: Minutes that are read at each look: an entry is written when its call ends, and is in the ledger within milliseconds.
_READ_AGAIN: Final = 2
#: What "now" is the mean of.
_RECENT: Final = 5
_SHOWN_PROVIDERS: Final = 5
_SHOWN_ALIASES: Final = 8
OTHERS: Final = "others"


class Hour:
    """Of one tenant, or of all (None). Not to be read by two at once."""

    def __init__(self, tenant: str | None) -> None:
        self._tenant = tenant
        self._minutes: dict[str, Minute] = {}
        self._whole_at: datetime | None = None

    async def read(self, database: Database, now: datetime) -> None:
        """Look again: at the last minutes, and once a minute at all of them."""
        minute = now.astimezone(UTC).replace(second=0, microsecond=0)
        whole = self._whole_at != minute
        since = minute - timedelta(minutes=(LENGTH if whole else _READ_AGAIN) - 1)
        found = await minutes(database, self._tenant, since)
        kept = {} if whole else {name: each for name, each in self._minutes.items() if name < since.strftime(SHAPE)}
        self._minutes, self._whole_at = {**kept, **found}, minute

    def names(self, now: datetime) -> list[str]:
        minute = now.astimezone(UTC)
        return [(minute - timedelta(minutes=back)).strftime(SHAPE) for back in range(LENGTH - 1, -1, -1)]

    def told(self, now: datetime) -> Minutes:
        """The series."""
        names = self.names(now)
        each = [self._minutes.get(name) or Minute() for name in names]
        by_provider: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * len(names))
        for place, minute in enumerate(each):
            for (_, provider, _), sums in minute.sums.items():
                by_provider[provider][place] += sums.cost_usd
        costs = sorted(((name, values) for name, values in by_provider.items() if any(values)), key=lambda one: -sum(one[1]))
        shown, rest = costs[:_SHOWN_PROVIDERS], costs[_SHOWN_PROVIDERS:]
        if rest:
            shown.append((OTHERS, [sum(values, Decimal(0)) for values in zip(*(values for _, values in rest), strict=True)]))
        return Minutes(
            at=names,
            answered=[sum(sums.answered for sums in minute.sums.values()) for minute in each],
            cached=[sum(sums.cached for sums in minute.sums.values()) for minute in each],
            failed=[sum(sums.failed for sums in minute.sums.values()) for minute in each],
            latency_p50_ms=[quantile(minute.latencies, 0.5) for minute in each],
            latency_p95_ms=[quantile(minute.latencies, 0.95) for minute in each],
            tokens=[sum(sums.tokens for sums in minute.sums.values()) for minute in each],
            cost_usd={name: [float(value) for value in values] for name, values in shown},
        )

    def now(self, now: datetime, cost_today: Decimal, cost_month: Decimal) -> Now:
        """The sums at the top."""
        hour = self._sums(self.names(now))
        recent_names = self.names(now)[-_RECENT:]
        recent = self._sums(recent_names)
        latencies: Counter[int] = Counter()
        for name in recent_names:
            latencies.update(self._minutes[name].latencies if name in self._minutes else {})
        calls = recent.answered + recent.failed
        return Now(
            calls_a_minute=round((calls + recent.cached) / _RECENT, 1),
            failed_share=round(recent.failed / calls, 4) if calls else None,
            latency_p50_ms=quantile(latencies, 0.5),
            latency_p95_ms=quantile(latencies, 0.95),
            tokens_hour=hour.tokens,
            cost_hour_usd=float(hour.cost_usd),
            cost_today_usd=float(cost_today),
            cost_month_usd=float(cost_month),
        )

    def aliases(self, now: datetime) -> list[AliasNow]:
        """The busiest ones first."""
        sums: dict[str, Sums] = defaultdict(Sums)
        for name in self.names(now):
            for (alias, _, _), more in self._minutes[name].sums.items() if name in self._minutes else ():
                _add(sums[alias], more)
        busiest = sorted(sums.items(), key=lambda one: -(one[1].answered + one[1].failed + one[1].cached))
        return [
            AliasNow(
                alias=alias,
                calls=one.answered + one.failed + one.cached,
                failed=one.failed,
                tokens=one.tokens,
                cost_usd=float(one.cost_usd),
            )
            for alias, one in busiest[:_SHOWN_ALIASES]
        ]

    def _sums(self, names: list[str]) -> Sums:
        whole = Sums()
        for name in names:
            for sums in self._minutes[name].sums.values() if name in self._minutes else ():
                _add(whole, sums)
        return whole


def _add(to: Sums, more: Sums) -> None:
    to.answered += more.answered
    to.failed += more.failed
    to.cached += more.cached
    to.tokens += more.tokens
    to.cost_usd += more.cost_usd
