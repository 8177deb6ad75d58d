"""Two arms whose units are others: the difference of their means, tested once, at the size that was planned."""

import math
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit

from evals.statistics.moments import Moments
from evals.statistics.power import per_arm
from evals.statistics.verdicts import Verdict, check, decide

#: Units an arm has to have before its deviation is believed.
FEWEST = 30


@dataclass(frozen=True, slots=True)
class Difference:
    """The second arm's mean less the first's (None: of one of them nothing was measured), within `low` and `high`. `relative`
    is it by the first's mean (None: that is zero). `effect_size` is Cohen's d, by the pooled deviation. `needed` are units an
    arm that would settle it; None: it is settled, or nothing tells. `why` says for what reason nothing can be told: `too_few`,
    `no_variance`."""

    verdict: Verdict
    difference: float | None
    low: float
    high: float
    p: float
    relative: float | None
    effect_size: float | None
    n: tuple[int, int]
    unmeasured: int
    needed: int | None
    why: str | None = None


def compare_means(
    a: Moments, b: Moments, *, alpha: float = 0.05, effect: float | None = None, higher_is_better: bool = True
) -> Difference:
    """Welch's test of the second arm against the first. It holds when it is asked once; `sequential` may be asked at any time.

    Raises:
        ValueError: as `verdicts.check` says.
    """
    check(alpha, effect)
    if min(a.n, b.n) < FEWEST:
        return too_few(a, b)
    error = math.sqrt(a.error + b.error)
    if error == 0:
        if a.mean == b.mean:
            return too_few(a, b, "no_variance")
        return judged(a, b, reach=0.0, p=0.0, alpha=alpha, effect=effect, higher_is_better=higher_is_better)
    freedom = (a.error + b.error) ** 2 / (a.error**2 / (a.n - 1) + b.error**2 / (b.n - 1))
    p = 2 * float(stdtr(freedom, -abs(b.mean - a.mean) / error))
    reach = float(stdtrit(freedom, 1 - alpha / 2)) * error
    return judged(a, b, reach=reach, p=p, alpha=alpha, effect=effect, higher_is_better=higher_is_better)


def judged(
    a: Moments,
    b: Moments,
    *,
    reach: float,
    p: float,
    alpha: float,
    effect: float | None,
    higher_is_better: bool,
    needed: int | None = None,
) -> Difference:
    """The difference with an interval of `reach` on both sides. `needed` replaces the size that a single look takes."""
    difference = b.mean - a.mean
    low, high = difference - reach, difference + reach
    verdict = decide(low, high, differs=p <= alpha, effect=effect, higher_is_better=higher_is_better)
    if verdict is not Verdict.INCONCLUSIVE:
        needed = None
    elif needed is None and (sought := effect or abs(difference)):
        needed = per_arm(pooled_sd(a, b), sought, alpha=alpha)
    return Difference(
        verdict=verdict,
        difference=difference,
        low=low,
        high=high,
        p=p,
        relative=difference / abs(a.mean) if a.mean else None,
        effect_size=difference / pooled_sd(a, b) if pooled_sd(a, b) else None,
        n=(a.n, b.n),
        unmeasured=a.unmeasured + b.unmeasured,
        needed=needed,
    )


def pooled_sd(a: Moments, b: Moments) -> float:
    """The standard deviation within the arms; 0 where nothing tells."""
    freedom = a.n + b.n - 2
    return math.sqrt(((a.n - 1) * a.variance + (b.n - 1) * b.variance) / freedom) if freedom > 0 else 0.0


def too_few(a: Moments, b: Moments, why: str = "too_few") -> Difference:
    """Nothing can be told yet."""
    difference = b.mean - a.mean if a.n and b.n else None
    return Difference(
        verdict=Verdict.INCONCLUSIVE,
        difference=difference,
        low=-math.inf,
        high=math.inf,
        p=1.0,
        relative=None,
        effect_size=None,
        n=(a.n, b.n),
        unmeasured=a.unmeasured + b.unmeasured,
        needed=None,
        why=why,
    )
