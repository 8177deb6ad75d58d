"""What is left of the rate limits that a request counts in."""

from collections.abc import Sequence

from core.budgets.rules import Rule, Unit
from core.context import Allowance


def allowances(rules: Sequence[Rule], used: Sequence[int], wait_s: int | None = None) -> Sequence[Allowance]:
    """Of each unit the rate limit with the least left. `used` is counted with the request itself; there is more again after
    `wait_s` seconds, or when the window has gone by."""
    found: dict[Unit, tuple[float, Allowance]] = {}
    for rule, amount in zip(rules, used, strict=True):
        if not rule.rate:
            continue
        left = max(0, rule.limit - amount)
        share = left / rule.limit
        if rule.unit not in found or share < found[rule.unit][0]:
            window_s = None if rule.unit is Unit.CONCURRENT else int(rule.window.rolls.total_seconds())
            found[rule.unit] = share, Allowance(rule.unit.value, rule.limit, left, window_s, wait_s or window_s or 1)
    return [allowance for _, allowance in found.values()]
