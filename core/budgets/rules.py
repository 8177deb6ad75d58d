"""Which budgets and rate limits a request falls under."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import Any, Final

from core.budgets.counters import PREFIX
from core.budgets.windows import Window
from core.principals import Principal
from core.tables.budgets import Budget, BudgetMode
from core.tables.rate_limits import Each, RateLimit

#: Dollars are counted in parts of it, rounded up.
UNIT_USD: Final = Decimal("1e-9")
#: Callers whose rules are kept in mind.
_CALLERS: Final = 10_000
#: How long a counter of what goes on at once is kept, longer than anything does.
_AT_ONCE = Window("24h")


def units(usd: Decimal) -> int:
    """Dollars as whole units, rounded up."""
    return int((usd / UNIT_USD).to_integral_value(ROUND_CEILING))


class Unit(StrEnum):
    """What is counted."""

    USD = "usd"
    TOKENS = "tokens"
    REQUESTS = "requests"
    CONCURRENT = "concurrent"


@dataclass(frozen=True, slots=True)
class Rule:
    """A budget, or one number of a rate limit (`rate`), as requests are held to it. `limit` is in its unit, dollars in units of
    `UNIT_USD`. Of what is counted for everybody apart (`each`), it is one caller's."""

    id: str
    tenant: str
    name: str
    team: str | None
    user: str | None
    key: str | None
    alias: str | None
    limit: int
    unit: Unit
    window: Window
    mode: BudgetMode = BudgetMode.HARD
    degrade_to: str | None = None
    rate: bool = False
    each: Each | None = None
    caller: str | None = None
    #: The counter's name in Redis: all of a tenant's in one place of a cluster.
    counter: str = field(init=False, compare=False)
    key_in_redis: bytes = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        apart = "" if self.caller is None else f":{self.caller}"
        counter = f"{PREFIX}:{{{self.tenant}}}:{self.id}:{self.unit}:{self.window.text}{apart}"
        object.__setattr__(self, "counter", counter)
        object.__setattr__(self, "key_in_redis", counter.encode())

    @classmethod
    def of(cls, row: Budget) -> "Rule":
        in_usd = row.limit_usd is not None
        limit = int(row.limit_usd / UNIT_USD) if row.limit_usd is not None else row.limit_tokens or 0
        return cls(
            **_whose(row),
            limit=limit,
            unit=Unit.USD if in_usd else Unit.TOKENS,
            window=Window(row.window),
            mode=BudgetMode(row.mode),
            degrade_to=row.degrade_to,
        )

    @classmethod
    def of_rates(cls, row: RateLimit) -> "list[Rule]":
        """One for each number that the row gives."""
        given = {Unit.REQUESTS: row.requests, Unit.TOKENS: row.tokens, Unit.CONCURRENT: row.concurrent}
        window, each = Window(row.window), None if row.each is None else Each(row.each)
        return [
            cls(
                **_whose(row),
                limit=limit,
                unit=unit,
                window=_AT_ONCE if unit is Unit.CONCURRENT else window,
                rate=True,
                each=each,
            )
            for unit, limit in given.items()
            if limit is not None
        ]

    @property
    def in_usd(self) -> bool:
        return self.unit is Unit.USD

    @property
    def refuses(self) -> bool:
        """Whether a request without room is not let through as it is."""
        return self.mode is not BudgetMode.SOFT

    def counts(self, principal: Principal, alias: str) -> bool:
        """Whether a request of theirs to the alias counts."""
        return (
            self.alias in (None, alias)
            and self.user in (None, principal.id)
            and self.key in (None, principal.first_key)
            and (self.team is None or self.team in principal.teams)
        )

    def bound_to(self, first: Mapping[str, str]) -> "Rule":
        """The same for the first keys of those that it names."""
        return replace(self, user=first.get(self.user or "", self.user), key=first.get(self.key or "", self.key))

    def applied(self, principal: Principal) -> "Rule":
        """As it is for this caller."""
        if self.each is None:
            return self
        return replace(self, caller=(self.each is Each.KEY and principal.first_key) or principal.id)


class Rules:
    """All budgets and rate limits by tenant, in memory. `first` are the first keys of those that took the place of others: what
    names one of them is for all."""

    def __init__(
        self, budgets: Sequence[Budget] = (), rates: Sequence[RateLimit] = (), first: Mapping[str, str] | None = None
    ) -> None:
        found: dict[str, list[Rule]] = {}
        for rule in (*map(Rule.of, budgets), *(rule for row in rates for rule in Rule.of_rates(row))):
            found.setdefault(rule.tenant, []).append(rule.bound_to(first) if first else rule)
        self._of: Mapping[str, Sequence[Rule]] = found
        self._known: dict[tuple[Any, ...], Sequence[Rule]] = {}

    def of(self, principal: Principal, alias: str) -> Sequence[Rule]:
        """Those that a request falls under. Costs a look into a dictionary where its tenant has none, and another one where the
        same caller was here before."""
        rules = self._of.get(principal.tenant)
        if not rules:
            return ()
        asked = principal.tenant, principal.id, principal.first_key, principal.teams, alias
        found = self._known.get(asked)
        if found is None:
            found = tuple(rule.applied(principal) for rule in rules if rule.counts(principal, alias))
            if len(self._known) >= _CALLERS:
                self._known.clear()
            self._known[asked] = found
        return found


def _whose(row: Budget | RateLimit) -> dict[str, Any]:
    names = ("id", "tenant", "name", "team", "user", "key", "alias")
    return {name: getattr(row, name) for name in names}
