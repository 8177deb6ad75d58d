import numpy as np
import pytest

from evals.statistics.cuped import adjust
from evals.statistics.moments import Moments
from evals.statistics.two_samples import compare_means
from evals.statistics.verdicts import Verdict

RNG = np.random.default_rng(1)
BEFORE = RNG.normal(10, 3, (2, 400))
AFTER = BEFORE + RNG.normal(0, 1, (2, 400)) + np.array([[0.0], [0.3]])


def test_what_was_known_before_takes_the_noise_away_and_leaves_the_difference():
    plain = compare_means(*(Moments.of(arm) for arm in AFTER.tolist()))
    found = adjust(AFTER.tolist(), BEFORE.tolist())
    sharper = compare_means(*found.arms)
    assert found.theta == pytest.approx(1, abs=0.05)
    assert found.reduction == pytest.approx(0.9, abs=0.02)
    assert plain.verdict is Verdict.INCONCLUSIVE
    assert sharper.verdict is Verdict.BETTER
    assert sharper.difference == pytest.approx(0.3, abs=0.15)


def test_a_unit_of_which_nothing_was_known_keeps_its_outcome():
    found = adjust([[1.0, 2.0, 5.0]], [[None, None, None]])
    assert found.arms == (Moments.of([1.0, 2.0, 5.0]),)
    assert (found.theta, found.reduction) == (0.0, 0.0)


def test_an_effect_is_not_taken_for_noise():
    """Arms that differ in what is sought and not in what was before give no slope."""
    found = adjust([[0.0, 1.0] * 50, [10.0, 11.0] * 50], [[1.0, 1.0] * 50, [1.0, 1.0] * 50])
    assert found.arms[1].mean - found.arms[0].mean == pytest.approx(10)


def test_unmeasured_outcomes_stay_unmeasured():
    found = adjust([[1.0, None, 3.0], [2.0, 2.5, 4.0]], [[1.0, 2.0, 3.0], [2.0, None, 4.0]])
    assert [arm.unmeasured for arm in found.arms] == [1, 0]


def test_each_unit_has_both_values():
    with pytest.raises(ValueError, match="each unit"):
        adjust([[1.0]], [[1.0, 2.0]])
