"""CUPED: what was known of a unit before it was assigned explains a part of its noise (Deng, Xu, Kohavi and Walker 2013)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.statistics.moments import Moments


@dataclass(frozen=True, slots=True)
class Adjusted:
    """The arms without the noise that was explained, in the order given. `theta` is the slope that was taken away, the same
    for all arms. `reduction` is the share of the variance that is gone, 0 to 1: a test needs as much fewer units."""

    arms: tuple[Moments, ...]
    theta: float
    reduction: float


def adjust(outcomes: Sequence[Sequence[float | None]], before: Sequence[Sequence[float | None]]) -> Adjusted:
    """Take away what `before` explains: for each arm the outcomes of its units, and beside each what was known of that unit
    before. A unit of which nothing was known keeps its outcome, as one of the mean does. Means stay what they were in
    expectation, because assignment does not ask what was before.

    Raises:
        ValueError: an arm has not as many of the one as of the other.
    """
    if len(outcomes) != len(before) or any(len(one) != len(other) for one, other in zip(outcomes, before, strict=True)):
        raise ValueError("each unit has one outcome and one value before")
    arms = [(_numbers(one), _numbers(other)) for one, other in zip(outcomes, before, strict=True)]
    known = [(y[both], x[both]) for y, x in arms if (both := ~np.isnan(y) & ~np.isnan(x)).any()]
    theta, middle = 0.0, 0.0
    if known:
        middle = float(np.concatenate([x for _, x in known]).mean())
        # within arms: a difference between them is what is sought, and no noise
        along = sum(float(((x - x.mean()) * (y - y.mean())).sum()) for y, x in known)
        across = sum(float(((x - x.mean()) ** 2).sum()) for _, x in known)
        theta = along / across if across > 0 else 0.0
    plain = [Moments.of(y) for y, _ in arms]
    adjusted = tuple(Moments.of(y - theta * np.where(np.isnan(x), 0.0, x - middle)) for y, x in arms)
    noise, left = _within(plain), _within(adjusted)
    return Adjusted(adjusted, theta, max(0.0, 1 - left / noise) if noise > 0 else 0.0)


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([math.nan if value is None or not math.isfinite(value) else value for value in values], dtype=np.float64)


def _within(arms: Sequence[Moments]) -> float:
    return sum((arm.n - 1) * arm.variance for arm in arms if arm.n)
