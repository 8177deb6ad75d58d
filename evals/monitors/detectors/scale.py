"""How far a series usually is from what is expected of it: its scale, how its values depend on each other, and its tail."""

from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from math import sqrt
from statistics import fmean
from typing import Any, Final

from evals.monitors.detectors.robust import tail_quantile
from evals.monitors.detectors.tuning import Tuning

_RESIDUALS: Final = 360
_BLOCK: Final = 15
_BLOCKS: Final = 240
#: Blocks that say something of dependence, and the ratio below which it may as well be chance.
_TELLING: Final = 96
_CHANCE: Final = 1.25
_MOST_DEPENDENT: Final = 3.0
#: What begins the tail, in standard deviations, and how many of it are remembered, and say something.
_TAIL: Final = 2.5
_TAILS: Final = 300
_TELLING_TAIL: Final = 24
#: Until the tail says something.
_UNKNOWN_SPIKE: Final = 20.0
_EVERY: Final = 30
_SLOWLY: Final = 0.15


class Scale:
    """Given residuals of a series while nothing is wrong."""

    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self._residuals: deque[float] = deque(maxlen=_RESIDUALS)
        self._blocks: deque[float] = deque(maxlen=_BLOCKS)
        self._tail: deque[float] = deque(maxlen=_TAILS)
        self._seen = 0
        self._share = 0.0124  # of normal values beyond `_TAIL`
        self._sigma: float | None = None
        self._dependence = 1.0
        self.spike = max(tuning.spike, _UNKNOWN_SPIKE)

    @property
    def sigma(self) -> float | None:
        """The standard deviation; None while too little is known."""
        return None if self._sigma is None else max(self._sigma, self._tuning.least_scale)

    @property
    def dependence(self) -> float:
        """By how much sums of neighbours are further out than those of independent values: 1 to 3."""
        return self._dependence

    def learn(self, residual: float) -> None:
        """Take a residual in."""
        self._residuals.append(residual)
        self._seen += 1
        if self._seen % _BLOCK == 0:
            self._blocks.append(fmean(list(self._residuals)[-_BLOCK:]))
        if self._sigma is not None:
            size = abs(residual) / max(self._sigma, self._tuning.least_scale)
            beyond = size > _TAIL
            self._share += 0.001 * (beyond - self._share)
            if beyond:
                self._tail.append(size - _TAIL)
                self._measure_tail()
        if len(self._residuals) >= _EVERY and (self._seen % _EVERY == 0 or self._sigma is None):
            self._measure()

    def state(self) -> dict[str, Any]:
        """What is remembered, as JSON takes it."""
        told = {"residuals": self._residuals, "blocks": self._blocks, "tail": self._tail}
        return {name: [float(f"{each:.5g}") for each in values] for name, values in told.items()} | {
            "seen": self._seen,
            "share": self._share,
            "sigma": self._sigma,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self._residuals.extend(state["residuals"])
        self._blocks.extend(state["blocks"])
        self._tail.extend(state["tail"])
        self._seen, self._share, self._sigma = state["seen"], state["share"], state["sigma"]
        self._measure_dependence()
        self._measure_tail()

    def _measure(self) -> None:
        now = self._tuning.spread(self._residuals)
        share = 1.0 if self._sigma is None else max(_SLOWLY, _EVERY / self._seen)
        self._sigma = now if self._sigma is None else self._sigma + share * (now - self._sigma)
        self._measure_dependence()

    def _measure_dependence(self) -> None:
        if len(self._blocks) < _TELLING or not self.sigma:
            return
        blocks = list(self._blocks)  # neighbours are compared: that the profile is a little off is no dependence
        steps = [later - earlier for earlier, later in pairwise(blocks)]
        ratio = self._tuning.spread(steps) * sqrt(_BLOCK / 2) / self.sigma
        self._dependence = min(ratio, _MOST_DEPENDENT) if ratio > _CHANCE else 1.0

    def _measure_tail(self) -> None:
        if len(self._tail) >= _TELLING_TAIL:
            found = tail_quantile(self._tail, _TAIL, self._share, self._tuning.spike_chance)
            self.spike = max(self._tuning.spike, found)
