"""What tests of arms need of them: how many, their mean and their variance. A database can sum these up by itself."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moments:
    """`n` measured units, one value each (a user's mean, where users are assigned and not requests), their `mean` and the
    `variance` of the sample, by n - 1. `unmeasured` units gave no value."""

    n: int
    mean: float
    variance: float
    unmeasured: int = 0

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Moments":
        """Of the values that are there; None and what is no finite number are counted as unmeasured."""
        there, unmeasured = [], 0
        for value in values:
            if value is None or not math.isfinite(value):
                unmeasured += 1
            else:
                there.append(float(value))
        n = len(there)
        mean = math.fsum(there) / n if n else 0.0
        variance = math.fsum((value - mean) ** 2 for value in there) / (n - 1) if n > 1 else 0.0
        return cls(n, mean, variance, unmeasured)

    @classmethod
    def of_sums(cls, n: int, total: float, squares: float, unmeasured: int = 0) -> "Moments":
        """Of how many there are, their sum and the sum of their squares. Where the mean is far larger than the deviation
        digits are lost: sum up what is left after taking a constant away."""
        mean = total / n if n else 0.0
        return cls(n, mean, max(0.0, (squares - n * mean * mean) / (n - 1)) if n > 1 else 0.0, unmeasured)

    @classmethod
    def of_share(cls, successes: int, n: int, unmeasured: int = 0) -> "Moments":
        """Of units that each did or did not."""
        return cls.of_sums(n, float(successes), float(successes), unmeasured)

    @property
    def error(self) -> float:
        """The variance of the mean; infinite without a unit."""
        return self.variance / self.n if self.n else math.inf
