"""The paired bootstrap and approximate randomisation of a mean difference, by whole arrays and from a seed."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

Floats = NDArray[np.float64]

#: So few that chance has a say of its own, which `randomisation_p` counts against a difference.
RESAMPLES: Final = 1_999
#: Numbers that are held at a time: as many as stay in a processor's cache.
_ROOM: Final = 200_000
#: Up to so many pairs that differ, every way to swap them is tried instead of some.
_EXACT: Final = 12
#: The 99th percentile of the normal distribution.
_SURE: Final = 2.3263478740408408


def bootstrap_interval(differences: Floats, *, alpha: float, seed: int, resamples: int = RESAMPLES) -> tuple[float, float]:
    """The bounds of the mean, missed in `alpha` of the cases: bias-corrected and accelerated (Efron 1987), its percentiles
    widened for small samples as Student's t is (Hesterberg 2015, "expanded percentile"). Differences that are all the same
    give an interval without width: see `never_seen`.

    Raises:
        ValueError: fewer than two differences.
    """
    n = differences.size
    if n < 2:
        raise ValueError("an interval takes two differences or more")
    mean, centred = differences.mean(), differences - differences.mean()
    spread = float((centred**2).sum())
    if spread <= np.finfo(float).eps * max(1.0, float((differences**2).sum())):
        return float(mean), float(mean)
    rng = np.random.default_rng(seed)
    means = np.concatenate(
        [differences[rng.integers(0, n, (rows, n))].mean(axis=1) for rows in _portions(resamples, n)],
    )
    below = (means < mean).sum() + (means == mean).sum() / 2
    bias = ndtri(np.clip(below / resamples, 1 / (resamples + 1), resamples / (resamples + 1)))
    acceleration = float((centred**3).sum()) / (6 * spread**1.5)
    reach = stdtrit(n - 1, 1 - alpha / 2) * np.sqrt(n / (n - 1))
    ends = bias + np.array([-reach, reach])
    shares = ndtr(bias + ends / np.maximum(1 - acceleration * ends, 1e-6))
    low, high = np.quantile(means, np.clip(shares, 0, 1))
    return float(low), float(high)


def never_seen(n: int, *, alpha: float) -> float:
    """The largest share of pairs that may differ where none of `n` did ("rule of three", exact)."""
    return float(1 - alpha ** (1 / n)) if n else 1.0


def randomisation_p(differences: Floats, *, seed: int, resamples: int = RESAMPLES) -> tuple[float, float]:
    """How often the mean difference is as far from zero when each pair is swapped by chance (two-sided), and that with what
    chance may have added: of all random draws, 99 of 100 find less than the second. With few pairs every way is tried, and
    both are the same.
    """
    told = differences[differences != 0]
    if not told.size:
        return 1.0, 1.0
    seen = abs(told.sum()) * (1 - 1e-12)
    if told.size <= _EXACT:
        ways = np.arange(2**told.size)[:, None] >> np.arange(told.size) & 1
        p = float((np.abs((1 - 2 * ways) @ told) >= seen).mean())
        return p, p
    rng = np.random.default_rng(seed)
    total, further = told.sum(), 0
    for rows in _portions(resamples, told.size):
        bits = np.unpackbits(rng.integers(0, 256, (rows, -(-told.size // 8)), dtype=np.uint8), axis=1, count=told.size)
        further += int((np.abs(total - 2 * (bits @ told)) >= seen).sum())
    p = (further + 1) / (resamples + 1)
    return p, min(1.0, p + _SURE * float(np.sqrt(p * (1 - p) / resamples)))


def _portions(rows: int, width: int) -> Iterator[int]:
    most = max(1, _ROOM // width)
    while rows > 0:
        yield min(rows, most)
        rows -= most
