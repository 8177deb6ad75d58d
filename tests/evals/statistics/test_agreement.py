import math

import pytest

from evals.statistics.agreement import cohens_kappa


def rated(table: list[list[int]]) -> tuple[list[float], list[float]]:
    pairs = [(float(i), float(j)) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def test_cohens_kappa_of_a_textbooks_table():
    """Fifty proposals, two readers: .7 agree, .5 would by chance."""
    found = cohens_kappa(*rated([[20, 5], [10, 15]]))
    assert found.kappa == pytest.approx(0.4)
    assert (found.observed, found.expected) == (pytest.approx(0.7), pytest.approx(0.5))
    assert found.low < 0.4 < found.high


def test_near_misses_count_for_less_with_weights():
    """By hand: ratings disagree in .3 and by chance in .66; by distance .2 and .45; by its square .15 and .345."""
    a, b = rated([[2, 1, 0], [0, 2, 1], [1, 0, 3]])
    found = [cohens_kappa(a, b, weights=weights).kappa for weights in ("none", "linear", "quadratic")]
    assert found == pytest.approx([1 - 0.3 / 0.66, 1 - 0.2 / 0.45, 1 - 0.15 / 0.345])


def test_raters_who_agree_have_one_and_those_who_contradict_have_less_than_none():
    assert cohens_kappa([1, 2, 3], [1, 2, 3]).kappa == 1
    assert cohens_kappa([1, 2, 1, 2], [2, 1, 2, 1]).kappa == -1


def test_a_rater_who_says_one_thing_of_all_agrees_by_chance_alone():
    """Exactly: not by what floating point leaves."""
    found = cohens_kappa([5, 5, 5, 4, 5, 1, 1], [1] * 7, weights="quadratic")
    assert (found.kappa, found.low, found.high) == (0, 0, 0)


def test_what_one_of_them_did_not_rate_is_left_out():
    found = cohens_kappa([1, None, 2, 2, math.nan], [1, 2, None, 2, 1])
    assert (found.n, found.unmeasured, found.kappa) == (2, 3, 1.0)


@pytest.mark.parametrize("ratings", [[], [3, 3, 3]])
def test_one_kind_of_rating_tells_nothing(ratings):
    assert cohens_kappa(ratings, ratings).kappa is None
