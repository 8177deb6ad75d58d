"""Failures that are counted while they come: evidence that may be looked at any time, exact for however few there are.

Both are mixtures of likelihood ratios: where the claim does not hold they stay below 1 / alpha for ever in 1 - alpha of the
cases (Ville), whenever they are looked at. What failed may be a share of a unit, 0 to 1: the ratio of such a unit is below that
of a bet on it, which is fair (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", 2024).
"""

import math
from typing import Final

import numpy as np

#: Shares of the way from what the claim excludes to certainty: from differences of a thousandth to the largest.
_WAY: Final = np.geomspace(0.001, 0.999, 64)


def evidence_for_more_often(candidate: float, other: float, share: float) -> float:
    """That a candidate fails more often than what it is tried beside: 1 / alpha settles it.

    `candidate` and `other` are how many units failed at each; `share` of the units are given the candidate by chance, above 0
    and below 1. How often units fail may change all the time, as long as it does for both.
    """
    if candidate <= 0:
        return 0.0
    return _mixed(candidate, other, share)


def evidence_for_above(failed: float, units: int, rate: float) -> float:
    """That more than `rate` of the units fail, below 1: 1 / alpha settles it. Of a rate of 0 each failure does."""
    if failed <= 0:
        return 0.0
    return _mixed(failed, units - failed, rate) if rate > 0 else math.inf


def _mixed(hits: float, misses: float, chance: float) -> float:
    more = chance + (1 - chance) * _WAY
    logarithms = hits * np.log(more / chance) + misses * np.log((1 - more) / (1 - chance))
    highest = float(logarithms.max())
    return math.inf if highest > 700 else math.exp(highest) * float(np.exp(logarithms - highest).mean())
