"""Sample-ratio mismatch: whether arms got the shares of units that they were to get. Where they did not, assignment or counting
is broken, and nothing that the arms say can be believed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import chdtrc, gammaln

ALPHA: Final = 0.001
#: How sure the sequential alarm is of the shares before it has seen anything, in units, and how much each of these counts. A
#: sharp one finds 51 to 49 among 100,000; a dull one finds 300 against 100, which is far from all that a sharp one expects.
_SURENESS: Final = ((3_000.0, 0.9), (10.0, 0.1))


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """`mismatch` when the counts are no chance, at `alpha`. `expected` are the counts that the weights ask for."""

    mismatch: bool
    p: float
    counts: tuple[int, ...]
    expected: tuple[float, ...]


def sample_ratio(counts: Sequence[int], weights: Sequence[float], *, alpha: float = ALPHA) -> SampleRatio:
    """Pearson's chi-square test, for assignments that are over: it holds when it is asked once.

    Raises:
        ValueError: not one weight above zero for each count.
    """
    shares, total = _shares(counts, weights), sum(counts)
    if total == 0 or len(counts) < 2:
        return SampleRatio(False, 1.0, tuple(counts), tuple(total * share for share in shares))
    expected = [total * share for share in shares]
    statistic = math.fsum((seen - told) ** 2 / told for seen, told in zip(counts, expected, strict=True))
    p = float(chdtrc(len(counts) - 1, statistic))
    return SampleRatio(p <= alpha, p, tuple(counts), tuple(expected))


def sample_ratio_at_any_time(counts: Sequence[int], weights: Sequence[float], *, alpha: float = ALPHA) -> SampleRatio:
    """The same for assignments that go on, to be asked at every look: of those without a mismatch at most `alpha` are ever
    alarmed. Two Dirichlet mixtures over the shares that may be true instead (Lindon and Malek, "Anytime-valid inference for
    multinomial count data", 2022), whose mean is one too. It takes up to two thirds more units than the chi-square test does.

    Raises:
        ValueError: as `sample_ratio`.
    """
    shares, total = _shares(counts, weights), sum(counts)
    seen, told = np.array(counts, dtype=np.float64), np.array(shares)
    chance = (seen * np.log(told)).sum()
    logarithm = -math.inf
    for sure, counts_for in _SURENESS:
        prior = sure * told
        mixed = gammaln(sure) - gammaln(sure + total) + (gammaln(prior + seen) - gammaln(prior)).sum()
        logarithm = float(np.logaddexp(logarithm, math.log(counts_for) + mixed - chance))
    p = math.exp(-logarithm) if logarithm > 0 else 1.0
    return SampleRatio(p <= alpha, p, tuple(counts), tuple(total * share for share in shares))


def _shares(counts: Sequence[int], weights: Sequence[float]) -> list[float]:
    if len(counts) != len(weights) or any(weight <= 0 or not math.isfinite(weight) for weight in weights):
        raise ValueError("each count has a weight above zero")
    if any(count < 0 for count in counts):
        raise ValueError("counts are not below zero")
    whole = math.fsum(weights)
    return [weight / whole for weight in weights]
