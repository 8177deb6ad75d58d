"""Robust sums: what a few wild values do not move."""

from collections.abc import Sequence
from math import exp, log
from statistics import median

#: Makes the median absolute deviation of normal values their standard deviation.
_NORMAL = 1.4826
#: Shapes of a tail: those beyond are taken for it, and what is below is as good as exponential.
_HEAVIEST, _LIGHT = 0.35, 1e-3
#: So many excesses say half of what the shape is; without any it is that of a light tail.
_FEW = 60


def spread(values: Sequence[float], centre: float | None = None) -> float:
    """The standard deviation, by the median absolute deviation from `centre` (None: their median); 0 of no values."""
    if not values:
        return 0.0
    around = median(values) if centre is None else centre
    return _NORMAL * median([abs(value - around) for value in values])


def tail_quantile(excesses: Sequence[float], above: float, share: float, chance: float) -> float:
    """The size that is exceeded with `chance`, from how far those that exceed `above` (a `share` of all) do so: a generalised
    Pareto tail through their median and upper quartile (Pickands, 1975), which a few planted spikes do not move."""
    ordered = sorted(excesses)
    middle, upper = ordered[len(ordered) // 2], ordered[3 * len(ordered) // 4]
    if middle <= 0:
        return above
    shape = min(_HEAVIEST, max(0.0, log(max(upper / middle - 1, 1e-6)) / log(2)))
    shape *= len(ordered) / (len(ordered) + _FEW)
    ratio = log(max(share / chance, 1.0))
    if shape < _LIGHT:
        return above + middle / log(2) * ratio
    scale = middle * shape / (2**shape - 1)
    return above + scale / shape * (exp(shape * ratio) - 1)
