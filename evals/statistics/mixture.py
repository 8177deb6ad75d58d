"""The normal mixture that anytime-valid tests stand on: a test that may be looked at after every observation.

A z statistic that is looked at again and again passes 1.96 sooner or later. Weighing the likelihood of every shift by a normal
distribution of width `rho` gives a martingale instead (Robbins 1970); that of `n` observations stays below 1 / alpha for ever
in 1 - alpha of the cases where nothing differs (Ville). With an estimated deviation that holds asymptotically (Waudby-Smith,
Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", 2021).
"""

import math


def tuned(planned: float, alpha: float) -> float:
    """rho² that makes the interval narrowest at `planned` observations (equation 24 there, to the second term)."""
    logarithm = -2 * math.log(alpha)
    return (logarithm + math.log(logarithm + 1)) / max(planned, 1.0)


def threshold(n: float, rho2: float, alpha: float) -> float:
    """The |z| that a difference has to pass after `n` observations."""
    ahead = 1 + n * rho2
    return math.sqrt(2 * ahead / (ahead - 1) * math.log(math.sqrt(ahead) / alpha)) if ahead > 1 else math.inf


def always_valid_p(z: float, n: float, rho2: float) -> float:
    """The smallest alpha at which `z` passes after `n` observations; it may be looked at any time, and the smallest seen
    so far stays valid."""
    ahead = 1 + n * rho2
    logarithm = math.log(ahead) / 2 - z * z / 2 * (ahead - 1) / ahead
    return math.exp(logarithm) if logarithm < 0 else 1.0


def critical_z(alpha: float) -> float:
    """The |z| to pass at just the number of observations that a test was planned for."""
    return threshold(1.0, tuned(1.0, alpha), alpha)
