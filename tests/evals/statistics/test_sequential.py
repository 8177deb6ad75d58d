import math

import pytest

from evals.statistics.mixture import always_valid_p, threshold, tuned
from evals.statistics.moments import Moments
from evals.statistics.sequential import SequentialTest
from evals.statistics.two_samples import compare_means
from evals.statistics.verdicts import Verdict
from infra.bench.eval_statistics import looked_at


def test_looking_20_times_raises_few_false_alarms_and_still_finds_what_is_there():
    """At a few of the full counts; `make prove` has them."""
    found = looked_at(120)
    assert max(found[f"sequential_false_{name}"] for name in ("graded", "passed", "skewed")) <= 0.05
    assert min(found[f"naive_false_{name}"] for name in ("graded", "passed", "skewed")) >= 0.1
    assert found["sequential_power"] >= 0.7


def test_p_and_threshold_are_two_sides_of_one_test():
    rho2 = tuned(1000, 0.05)
    for n in (50, 1000, 20_000):
        assert always_valid_p(threshold(n, rho2, 0.05), n, rho2) == pytest.approx(0.05)


def test_the_interval_is_narrowest_where_it_was_planned_to_be():
    at = [threshold(1000, tuned(planned, 0.05), 0.05) for planned in (100, 1000, 10_000)]
    assert at[1] == min(at)


def test_it_is_wider_than_a_test_for_a_single_look():
    a, b = Moments(800, 1.0, 1.0), Moments(800, 1.1, 1.0)
    once, any_time = compare_means(a, b), SequentialTest(planned=1600).look(a, b)
    assert any_time.high - any_time.low > once.high - once.low
    assert any_time.p > once.p


def test_it_ends_with_each_of_the_verdicts():
    test = SequentialTest(planned=4000, effect=0.1)
    small, far = Moments(2000, 1.0, 1.0), Moments(2000, 1.3, 1.0)
    assert test.look(small, far).verdict is Verdict.BETTER
    assert test.look(far, small).verdict is Verdict.WORSE
    assert test.look(Moments(20_000, 1.0, 1.0), Moments(20_000, 1.001, 1.0)).verdict is Verdict.NO_DIFFERENCE
    unsure = test.look(small, Moments(2000, 1.02, 1.0))
    assert unsure.verdict is Verdict.INCONCLUSIVE
    assert unsure.needed > 2000


@pytest.mark.parametrize(("n", "mean", "variance", "why"), [(29, 9.0, 1.0, "too_few"), (500, 0.0, 0.0, "no_variance")])
def test_before_a_deviation_can_be_believed_nothing_is_told(n, mean, variance, why):
    found = SequentialTest().look(Moments(n, 0.0, variance), Moments(n, mean, variance))
    assert (found.verdict, found.why, found.high) == (Verdict.INCONCLUSIVE, why, math.inf)


def test_an_arm_of_which_all_fail_is_worse_than_one_of_which_none_does():
    found = SequentialTest(higher_is_better=False).look(Moments.of_share(0, 40), Moments.of_share(40, 40))
    assert (found.verdict, found.low, found.p) == (Verdict.WORSE, 1.0, 0.0)
