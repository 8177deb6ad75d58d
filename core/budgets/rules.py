"""Which budgets a request falls under."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Final

from core.budgets.counters import PREFIX
from core.budgets.windows import Window
from core.principals import Principal
from core.tables.budgets import Budget, BudgetMode

#: Dollars are counted in parts of it, rounded up.
UNIT_USD: Final = Decimal("1e-9")


def units(usd: Decimal) -> int:
    """Dollars as whole units, rounded up."""
    return int((usd / UNIT_USD).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class Rule:
    """A budget as requests are held to it. `limit` is in tokens, or in units of `UNIT_USD`."""

    id: str
    tenant: str
    name: str
    team: str | None
    user: str | None
    key: str | None
    alias: str | None
    limit: int
    in_usd: bool
    window: Window
    mode: BudgetMode
    degrade_to: str | None

    @classmethod
    def of(cls, row: Budget) -> "Rule":
        in_usd = row.limit_usd is not None
        limit = int(row.limit_usd / UNIT_USD) if row.limit_usd is not None else row.limit_tokens or 0
        return cls(
            id=row.id,
            tenant=row.tenant,
            name=row.name,
            team=row.team,
            user=row.user,
            key=row.key,
            alias=row.alias,
            limit=limit,
            in_usd=in_usd,
            window=Window(row.window),
            mode=BudgetMode(row.mode),
            degrade_to=row.degrade_to,
        )

    @property
    def refuses(self) -> bool:
        """Whether a request without room is not let through as it is."""
        return self.mode is not BudgetMode.SOFT

    @property
    def counter(self) -> str:
        """Its name in Redis: all of a tenant's in one place of a cluster."""
        unit = "usd" if self.in_usd else "tokens"
        return f"{PREFIX}:{{{self.tenant}}}:{self.id}:{unit}:{self.window.text}"

    def counts(self, principal: Principal, alias: str) -> bool:
        """Whether a request of theirs to the alias counts."""
        return (
            self.alias in (None, alias)
            and self.user in (None, principal.id)
            and self.key in (None, principal.key_id)
            and (self.team is None or self.team in principal.teams)
        )


class Rules:
    """All budgets by tenant, in memory."""

    def __init__(self, rows: Sequence[Budget] = ()) -> None:
        found: dict[str, list[Rule]] = {}
        for row in rows:
            found.setdefault(row.tenant, []).append(Rule.of(row))
        self._of: Mapping[str, Sequence[Rule]] = found

    def of(self, principal: Principal, alias: str) -> Sequence[Rule]:
        """Those that a request falls under. Costs a look into a dictionary where its tenant has none."""
        rules = self._of.get(principal.tenant)
        return [rule for rule in rules if rule.counts(principal, alias)] if rules else ()
