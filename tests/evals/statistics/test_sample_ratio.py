import pytest
from scipy import stats

from evals.statistics.sample_ratio import sample_ratio, sample_ratio_at_any_time
from infra.bench.eval_statistics import assignments


def test_51_to_49_is_caught_and_half_and_half_is_left_alone():
    """At a hundredth of the full counts for the way there, a fiftieth for the end; `make prove` has them."""
    found = assignments(20)
    assert found["mismatch_caught"] >= 0.99
    assert found["mismatch_false"] <= 0.0075  # three of 400
    assert found["mismatch_at_any_time_caught"] >= 0.9
    assert found["mismatch_at_any_time_false"] == 0


def test_it_is_pearsons_test():
    found = sample_ratio([5100, 2450, 2450], [2, 1, 1])
    assert found.p == pytest.approx(stats.chisquare([5100, 2450, 2450], [5000, 2500, 2500]).pvalue)
    assert found.expected == (5000, 2500, 2500)
    assert not found.mismatch


def test_the_alarm_for_any_time_asks_for_more():
    counts = [50_600, 49_400]
    assert sample_ratio(counts, [1, 1]).mismatch
    assert not sample_ratio_at_any_time(counts, [1, 1]).mismatch
    assert sample_ratio_at_any_time([51_000, 49_000], [1, 1]).mismatch


@pytest.mark.parametrize(("counts", "caught"), [((300, 100), True), ((70, 20), True), ((220, 180), False), ((12, 4), False)])
def test_a_few_units_are_enough_for_a_great_mismatch(counts, caught):
    assert sample_ratio_at_any_time(counts, [1, 1]).mismatch is caught


def test_shares_of_any_size_and_number_are_asked():
    assert not sample_ratio_at_any_time([9_000, 1_000], [0.9, 0.1]).mismatch
    assert sample_ratio_at_any_time([9_300, 700], [0.9, 0.1]).mismatch


@pytest.mark.parametrize("alarm", [sample_ratio, sample_ratio_at_any_time])
def test_nobody_assigned_is_no_mismatch_and_nonsense_is_refused(alarm):
    assert not alarm([0, 0], [1, 1]).mismatch
    for counts, weights in (([1], [1, 1]), ([1, 1], [1, 0]), ([1, 1], [1, float("nan")]), ([-1, 1], [1, 1])):
        with pytest.raises(ValueError, match="count"):
            alarm(counts, weights)
