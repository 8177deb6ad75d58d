"""Rate limits of requests while the server that counts for all processes is away: each process counts its own."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from core.budgets.counters import Answer
from core.budgets.rules import Rule, Unit

if TYPE_CHECKING:
    from limits.strategies import MovingWindowRateLimiter


class Alone:
    """A moving window in memory. Counters of tokens and of what goes on at once are not kept: they would know a part alone."""

    @cached_property
    def _window(self) -> "MovingWindowRateLimiter":
        from limits.storage import MemoryStorage
        from limits.strategies import MovingWindowRateLimiter

        return MovingWindowRateLimiter(MemoryStorage())

    def full(self, rules: Sequence[Rule]) -> tuple[Rule, Answer] | None:
        """The first of the rules without room; None, and the request counts, where all have some."""
        from limits import RateLimitItemPerSecond

        for rule in rules:
            if rule.rate and rule.unit is Unit.REQUESTS:
                item = RateLimitItemPerSecond(rule.limit, int(rule.window.rolls.total_seconds()))
                if not self._window.hit(item, rule.counter):
                    return rule, Answer()
        return None
