"""What becomes of a request that there is no room for, and what is told of a budget that fills."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from core.alerts import AlertKind, raise_alert
from core.budgets.counters import Answer
from core.budgets.rules import UNIT_USD, Rule, Unit
from core.errors import BudgetExceeded, RateLimited
from core.tables.budgets import BudgetMode

#: Shares of a budget that are told of.
_TOLD: Final = (1.0, 0.8, 0.5)
#: Seconds after which to come again where it depends on others' requests alone.
_SOON_S: Final = 1
_WORDS: Final = {
    Unit.REQUESTS: "requests within {window}",
    Unit.TOKENS: "tokens within {window}",
    Unit.CONCURRENT: "requests at once",
}


class Degraded(Exception):
    """The request is to go to a cheaper alias; `otherwise`, why it is refused where it cannot."""

    def __init__(self, alias: str, otherwise: BudgetExceeded) -> None:
        super().__init__(alias)
        self.alias = alias
        self.otherwise = otherwise


def refuse(rule: Rule, answer: Answer, now: datetime, *, amount: int = 0) -> None:
    """The rule has no room. `amount` the request takes by itself, as far as that is known.

    Raises:
        BudgetExceeded, RateLimited, Degraded
    """
    if rule.rate:
        words = _WORDS[rule.unit].format(window=rule.window.text)
        raise RateLimited(
            f"The rate limit {rule.name or rule.id!r} allows {rule.limit} {words}.",
            retry_after_s=answer.wait_s or _SOON_S,
            context={"rate_limit": rule.id},
        )
    raise _or_degraded(rule, _too_large(rule, amount) if amount > rule.limit else _full(rule, answer, now))


def _full(rule: Rule, answer: Answer, now: datetime) -> BudgetExceeded:
    end = rule.window.end(now)
    return BudgetExceeded(
        f"The budget {rule.name or rule.id!r} has no room for this request.",
        retry_after_s=answer.wait_s if end is None else (end - now).total_seconds(),
        context={"budget": rule.id},
    )


def _too_large(rule: Rule, amount: int) -> BudgetExceeded:
    """It would have no room however long it waits."""
    return BudgetExceeded(
        f"The request may come to {_told(rule, amount)}, more than the whole budget {rule.name or rule.id!r}, which is "
        f"{_told(rule, rule.limit)}. Ask for fewer `max_tokens`, or send less.",
        context={"budget": rule.id},
    )


def _told(rule: Rule, amount: int) -> str:
    return f"${(amount * UNIT_USD).normalize():f}" if rule.in_usd else f"{amount:,} tokens"


def _or_degraded(rule: Rule, refusal: BudgetExceeded) -> Exception:
    if rule.mode is BudgetMode.DEGRADE and rule.degrade_to is not None:
        return Degraded(rule.degrade_to, refusal)
    return refusal


def refuse_unpriced(rules: Sequence[Rule]) -> None:
    """No price is known for the model.

    Raises:
        BudgetExceeded: `budget_unpriced`.
        Degraded: one of the budgets names a cheaper alias, which then has to do for all of them.
    """
    for rule in sorted(rules, key=lambda rule: rule.mode is not BudgetMode.DEGRADE):
        if rule.in_usd and rule.refuses:
            refusal = BudgetExceeded(
                f"No price is known for this model, and the budget {rule.name or rule.id!r} is in dollars.",
                code="budget_unpriced",
                context={"budget": rule.id},
            )
            raise _or_degraded(rule, refusal)


def refuse_too_long(rules: Sequence[Rule], tokens: int) -> None:
    """A request of so many tokens at least.

    Raises:
        RateLimited: `request_over_rate_limit`: it would have no room however long it waits.
    """
    for rule in rules:
        if rule.rate and rule.unit is Unit.TOKENS and tokens > rule.limit:
            raise RateLimited(
                f"The request asks for {tokens} tokens; the rate limit {rule.name or rule.id!r} allows {rule.limit} "
                f"within {rule.window.text}.",
                code="request_over_rate_limit",
                context={"rate_limit": rule.id},
            )


def tell(rule: Rule, spent: int) -> None:
    """Raise the alert of the highest share of a budget that is spent."""
    share = next((share for share in _TOLD if spent >= share * rule.limit), None)
    if share is not None:
        raise_alert(
            AlertKind.BUDGET_USED, key=f"{rule.id}:{share:.0%}", budget=rule.id, name=rule.name, tenant=rule.tenant, share=share
        )
