"""Two arms that are looked at while they grow: an interval and a p value that hold at every look, however many there are."""

import math
from dataclasses import dataclass
from typing import Final

from evals.statistics.mixture import always_valid_p, threshold, tuned
from evals.statistics.moments import Moments
from evals.statistics.power import per_arm_looked_at
from evals.statistics.two_samples import FEWEST, Difference, judged, pooled_sd, too_few
from evals.statistics.verdicts import check

#: Units of both arms together that a test is tuned for where nothing was planned.
PLANNED: Final = 5_000


@dataclass(frozen=True, slots=True)
class SequentialTest:
    """Fixed before the first look and the same at every one: it says how alarms are spread over time.

    `planned` units of all both arms are where the interval is narrowest; it stays valid before and after. `effect` is the
    smallest difference that matters (see `verdicts.decide`). Ends at a verdict other than `inconclusive`, or when the caller
    has had enough; a verdict of an earlier look may be kept.
    """

    alpha: float = 0.05
    planned: int = PLANNED
    effect: float | None = None
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        check(self.alpha, self.effect)

    def look(self, a: Moments, b: Moments) -> Difference:
        """The second arm against the first as they are now. Of tests in which nothing differs at most `alpha` ever say that
        something does, over all of their looks together."""
        if min(a.n, b.n) < FEWEST:
            return too_few(a, b)
        error = math.sqrt(a.error + b.error)
        if error == 0 and a.mean == b.mean:
            return too_few(a, b, "no_variance")
        if error == 0:  # all of one arm this, all of the other that: of equals in less than one of 10^17 orders
            better = self.higher_is_better
            return judged(a, b, reach=0.0, p=0.0, alpha=self.alpha, effect=self.effect, higher_is_better=better)
        n, rho2 = a.n + b.n, tuned(self.planned, self.alpha)
        sought = self.effect or abs(b.mean - a.mean)
        return judged(
            a,
            b,
            reach=threshold(n, rho2, self.alpha) * error,
            p=always_valid_p((b.mean - a.mean) / error, n, rho2),
            alpha=self.alpha,
            effect=self.effect,
            higher_is_better=self.higher_is_better,
            needed=per_arm_looked_at(pooled_sd(a, b), sought, alpha=self.alpha) if sought else None,
        )
