"""How far two raters agree beyond what chance would have them: a judge and people, or a judge and itself."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

_RESAMPLES: Final = 2_000
#: Beyond them there is nothing but what floating point leaves of a difference: a kappa of 0 is not told as -2e-16.
_DIGITS: Final = 12

Weights = Literal["none", "linear", "quadratic"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cohen's `kappa`, -1 to 1, within `low` and `high` (percentiles of a bootstrap). `observed` is the share of agreement and
    `expected` the one of chance. None: nothing tells it, because there are no ratings or only one kind of them."""

    kappa: float | None
    low: float | None
    high: float | None
    observed: float | None
    expected: float | None
    n: int
    unmeasured: int


def cohens_kappa(
    a: Sequence[float | None],
    b: Sequence[float | None],
    *,
    weights: Weights = "none",
    alpha: float = 0.05,
    seed: int = 0,
) -> Agreement:
    """The agreement of two raters of the same things (Cohen 1960; with weights, 1968, where near misses count for less, by
    their distance or its square). A thing that one of them did not rate is left out and counted.

    Raises:
        ValueError: they have not as many ratings.
    """
    if len(a) != len(b):
        raise ValueError("both raters have a rating, or None, for each thing")
    pairs = [(one, other) for one, other in zip(a, b, strict=True) if _is_there(one) and _is_there(other)]
    unmeasured = len(a) - len(pairs)
    kinds = sorted({float(rating) for pair in pairs for rating in pair if rating is not None})
    if len(kinds) < 2:
        return Agreement(None, None, None, 1.0 if pairs else None, None, len(pairs), unmeasured)
    places = {kind: place for place, kind in enumerate(kinds)}
    table = np.zeros((len(kinds), len(kinds)))
    for one, other in pairs:
        table[places[float(one or 0)], places[float(other or 0)]] += 1
    apart = _apart(np.array(kinds), weights)
    shares = table / len(pairs)
    missed, by_chance = _missed(shares[None], apart)
    drawn = np.random.default_rng(seed).multinomial(len(pairs), shares.ravel(), size=_RESAMPLES)
    seen, expected = _missed(drawn.reshape(-1, *table.shape) / len(pairs), apart)
    told = expected > 0
    low, high = np.quantile(1 - seen[told] / expected[told], [alpha / 2, 1 - alpha / 2])
    kappa, low, high = (round(float(value), _DIGITS) + 0.0 for value in (1 - missed[0] / by_chance[0], low, high))
    return Agreement(
        kappa=kappa,
        low=low,
        high=high,
        observed=float(1 - missed[0]),
        expected=float(1 - by_chance[0]),
        n=len(pairs),
        unmeasured=unmeasured,
    )


def _apart(kinds: NDArray[np.float64], weights: Weights) -> NDArray[np.float64]:
    """How much each pair of ratings disagrees, 0 to 1; by the ratings themselves, so that a missing one leaves its gap."""
    if weights == "none":
        return 1 - np.eye(len(kinds))
    distance = np.abs(kinds[:, None] - kinds) / np.ptp(kinds)
    return distance if weights == "linear" else distance**2


def _missed(shares: NDArray[np.float64], apart: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each of several tables of shares: the disagreement that is seen, and the one of chance."""
    by_chance = shares.sum(axis=2)[:, :, None] * shares.sum(axis=1)[:, None, :]
    return (shares * apart).sum(axis=(1, 2)), (by_chance * apart).sum(axis=(1, 2))


def _is_there(rating: float | None) -> bool:
    return rating is not None and math.isfinite(rating)
