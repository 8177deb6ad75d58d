import math

import numpy as np
import pytest
from scipy import stats

from evals.statistics.moments import Moments
from evals.statistics.two_samples import compare_means
from evals.statistics.verdicts import Verdict

A = np.random.default_rng(1).normal(10, 2, 120)
B = np.random.default_rng(2).normal(11, 3, 90)


def test_it_is_welchs_test():
    found = compare_means(Moments.of(A), Moments.of(B))
    wanted = stats.ttest_ind(B, A, equal_var=False)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-9)
    interval = wanted.confidence_interval()
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert found.verdict is Verdict.BETTER
    assert found.relative == pytest.approx(found.difference / A.mean())
    assert found.n == (120, 90)


def test_the_verdict_goes_by_direction_and_by_the_effect_that_matters():
    a, b = Moments(10_000, 1.0, 1.0), Moments(10_000, 1.05, 1.0)
    assert compare_means(a, b, higher_is_better=False).verdict is Verdict.WORSE
    assert compare_means(a, b, effect=0.1).verdict is Verdict.NO_DIFFERENCE
    unsure = compare_means(Moments(500, 1.0, 1.0), Moments(500, 1.05, 1.0), effect=0.1)
    assert (unsure.verdict, unsure.needed) == (Verdict.INCONCLUSIVE, 1570)


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        (Moments(0, 0, 0), Moments(100, 1, 1), "too_few"),
        (Moments(29, 0, 1), Moments(100, 1, 1), "too_few"),
        (Moments(100, 1, 0), Moments(100, 1, 0), "no_variance"),
    ],
)
def test_arms_that_tell_nothing_are_inconclusive(a, b, why):
    found = compare_means(a, b)
    assert (found.verdict, found.why, found.low) == (Verdict.INCONCLUSIVE, why, -math.inf)
    assert (found.difference is None) == (a.n == 0)  # missing, and no zero
