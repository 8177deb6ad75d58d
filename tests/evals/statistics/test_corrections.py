import math

import pytest

from evals.statistics.corrections import benjamini_hochberg, holm, uncorrected

#: Of Benjamini and Hochberg (1995), table 1: four of these are told at a false discovery rate of .05, three by Bonferroni.
PUBLISHED = [
    0.0001,
    0.0004,
    0.0019,
    0.0095,
    0.0201,
    0.0278,
    0.0298,
    0.0344,
    0.0459,
    0.3240,
    0.4262,
    0.5719,
    0.6528,
    0.7590,
    1.0,
]


def test_benjamini_and_hochbergs_own_example():
    assert sum(p <= 0.05 for p in benjamini_hochberg(PUBLISHED)) == 4
    assert sum(p <= 0.05 for p in holm(PUBLISHED)) == 3


def test_holm_multiplies_by_what_is_left_and_never_goes_down():
    assert holm([0.04, 0.01, 0.03, 0.005]) == pytest.approx([0.06, 0.03, 0.06, 0.02])


def test_benjamini_hochberg_takes_the_smallest_of_those_above():
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])


@pytest.mark.parametrize("method", [holm, benjamini_hochberg, uncorrected])
def test_what_was_not_measured_asks_nothing(method):
    assert method([]) == []
    assert method([None, 0.02, math.nan]) == [None, 0.02, None]
