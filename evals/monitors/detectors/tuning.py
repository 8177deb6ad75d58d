"""How sensitive a detector is. The defaults are measured: `make bench-monitors`."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, median

from evals.monitors.detectors.robust import spread


@dataclass(frozen=True, slots=True)
class Tuning:
    """Sizes are in standard deviations of what a series does anyway, lengths in points, times in seconds.

    A cumulative sum of what is beyond `slack` tells of a change at `limit`. For independent values around a known level these
    make one false alarm in some tens of millions of points, and find a step of 1 after 32 on average (Siegmund, Sequential
    Analysis, 1985: (exp(2kb) - 2kb - 1) / 2k² with b = h + 1.166); the room between that and what is promised is for the level
    not being known but estimated, and for values that depend on those before. `young_…` hold while there is no profile of the
    day yet, and a season must not be taken for a change.
    """

    slack: float = 0.4
    limit: float = 18.0
    young_slack: float = 1.75
    young_limit: float = 16.0
    #: No single value counts for more than this, so that a heavy tail is not taken for a level.
    clip: float = 3.5
    #: The least size of a spike, and how rarely noise may be taken for one.
    spike: float = 5.5
    spike_chance: float = 1e-5
    #: A scale below this is taken for it: what a series that hardly moves does is no news.
    least_scale: float = 1e-9
    #: After so long a level that has not come back is what is usual from now on.
    accept_s: float = 86_400.0
    #: The profile of a day: seconds of a slot, points that one needs, and how far its times are not meant exactly.
    slot_s: float = 1800.0
    slot_points: int = 4
    tolerance_s: float = 600.0
    #: Values are mostly nothing, and sometimes much, as the share of few calls that fail: what is usual is their mean.
    rare: bool = False
    #: Days whose values of a slot are remembered.
    days: int = 6

    def centre(self, values: Sequence[float]) -> float:
        """The middle of some values."""
        return fmean(values) if self.rare else median(values)

    def spread(self, residuals: Sequence[float]) -> float:
        """How far they are from nothing: robustly, but where most of them say nothing."""
        return sqrt(fmean([each * each for each in residuals])) if self.rare else spread(residuals, 0.0)
