"""How many it takes: sample sizes, and what a sample of a size can tell. All tests are two-sided."""

import math
from typing import Final

from scipy.special import ndtr, ndtri

from evals.statistics.mixture import critical_z

POWER: Final = 0.8


def pairs_needed(sd: float, effect: float, *, alpha: float = 0.05, power: float = POWER) -> int:
    """Pairs at which a difference of `effect` is found with this power, where differences of pairs have the standard
    deviation `sd`."""
    return _whole(((_z(1 - alpha / 2) + _z(power)) * sd / _above_zero(effect)) ** 2)


def pairs_for_equivalence(sd: float, effect: float, *, alpha: float = 0.05, power: float = POWER) -> int:
    """Pairs at which the interval lies within `effect` on both sides with this power, where there is no difference."""
    return _whole(((_z(1 - alpha / 2) + _z((1 + power) / 2)) * sd / _above_zero(effect)) ** 2)


def per_arm(sd: float, effect: float, *, alpha: float = 0.05, power: float = POWER) -> int:
    """Units in each of two arms of the same size, with the standard deviation `sd` within an arm."""
    return pairs_needed(sd * math.sqrt(2), effect, alpha=alpha, power=power)


def per_arm_of_shares(share: float, effect: float, *, alpha: float = 0.05, power: float = POWER) -> int:
    """Units in each of two arms where the first has a `share` of successes and the second `share + effect`.

    Raises:
        ValueError: one of the two is no share.
    """
    other = share + effect
    if not (0 <= share <= 1 and 0 <= other <= 1 and 0 < (share + other) / 2 < 1):
        raise ValueError("both shares have to be between 0 and 1")
    middle = (share + other) / 2
    under_null = _z(1 - alpha / 2) * math.sqrt(2 * middle * (1 - middle))
    under_effect = _z(power) * math.sqrt(share * (1 - share) + other * (1 - other))
    return _whole(((under_null + under_effect) / _above_zero(effect)) ** 2)


def per_arm_looked_at(sd: float, effect: float, *, alpha: float = 0.05, power: float = POWER, variations: int = 2) -> int:
    """Units in each arm at which a sequential test that was planned for them has found `effect` with this power, however
    often it was looked at. `variations` arms share the alarms (see `corrections`): their pairs with the first are asked."""
    threshold = critical_z(alpha / max(1, variations - 1))
    return _whole(2 * ((threshold + _z(power)) * sd / _above_zero(effect)) ** 2)


def power_of_pairs(n: int, sd: float, effect: float, *, alpha: float = 0.05) -> float:
    """The probability that `n` pairs find a difference of `effect`."""
    return _power(abs(effect) * math.sqrt(n) / sd if sd else math.inf, alpha)


def power_per_arm(n: int, sd: float, effect: float, *, alpha: float = 0.05) -> float:
    """The probability that arms of `n` units each find a difference of `effect`."""
    return power_of_pairs(n, sd * math.sqrt(2), effect, alpha=alpha)


def detectable(n: int, sd: float, *, alpha: float = 0.05, power: float = POWER) -> float:
    """The smallest difference that `n` pairs find with this power."""
    return (_z(1 - alpha / 2) + _z(power)) * sd / math.sqrt(n) if n else math.inf


def _power(shift: float, alpha: float) -> float:
    threshold = _z(1 - alpha / 2)
    return float(ndtr(shift - threshold) + ndtr(-shift - threshold))


def _z(share: float) -> float:
    return float(ndtri(share))


def _above_zero(effect: float) -> float:
    if effect == 0 or not math.isfinite(effect):
        raise ValueError("no sample is large enough to find no difference at all")
    return abs(effect)


def _whole(n: float) -> int:
    return max(2, math.ceil(n - 1e-9))
