import math

import pytest

from evals.statistics.moments import Moments


def test_moments_are_the_same_from_values_and_from_sums():
    values = [1.0, 2.5, 4.0, 4.0]
    one, other = Moments.of(values), Moments.of_sums(4, sum(values), sum(value**2 for value in values))
    assert one.n == other.n == 4
    assert one.mean == pytest.approx(other.mean) == pytest.approx(2.875)
    assert one.variance == pytest.approx(other.variance) == pytest.approx(2.0625)
    assert one.error == pytest.approx(2.0625 / 4)


def test_what_is_not_there_is_counted_apart():
    assert Moments.of([None, 1.0, math.nan, math.inf, 3.0]) == Moments(2, 2.0, 2.0, 3)
    assert Moments.of([]) == Moments(0, 0.0, 0.0)
    assert Moments.of([]).error == math.inf


def test_a_share_has_the_variance_of_its_zeros_and_ones():
    found, wanted = Moments.of_share(30, 100), Moments.of([1.0] * 30 + [0.0] * 70)
    assert (found.n, found.mean) == (wanted.n, wanted.mean)
    assert found.variance == pytest.approx(wanted.variance)
