import math

import pytest

from evals.statistics.power import (
    detectable,
    pairs_for_equivalence,
    pairs_needed,
    per_arm,
    per_arm_looked_at,
    per_arm_of_shares,
    power_of_pairs,
    power_per_arm,
)


def test_the_textbooks_sizes():
    """Cohen (1988): 393 in each arm find a small effect (d = .2), 63 a medium one (64 with Student's t)."""
    assert per_arm(1, 0.2) == 393
    assert per_arm(1, 0.5) == 63
    assert pairs_needed(1, 0.5) == 32
    # Fleiss, Levin and Paik (2003), without their correction for continuity
    assert per_arm_of_shares(0.6, -0.1) == 388


def test_sizes_and_powers_are_each_others_inverse():
    n = pairs_needed(2, 0.3, power=0.9)
    assert power_of_pairs(n, 2, 0.3) == pytest.approx(0.9, abs=0.002)
    assert power_per_arm(per_arm(1, 0.2), 1, 0.2) == pytest.approx(0.8, abs=0.002)
    assert detectable(n, 2, power=0.9) == pytest.approx(0.3, abs=0.002)
    assert power_of_pairs(100, 1, 0) == pytest.approx(0.05)


def test_more_is_needed_to_tell_that_there_is_nothing_and_to_look_at_any_time():
    assert pairs_for_equivalence(1, 0.2) > pairs_needed(1, 0.2)
    assert per_arm(1, 0.2) < per_arm_looked_at(1, 0.2) < 2 * per_arm(1, 0.2)
    assert per_arm_looked_at(1, 0.2, variations=4) > per_arm_looked_at(1, 0.2)


@pytest.mark.parametrize("effect", [0, math.inf, math.nan])
def test_no_effect_is_found_by_no_sample(effect):
    with pytest.raises(ValueError, match="no sample"):
        pairs_needed(1, effect)


def test_shares_have_to_be_shares():
    with pytest.raises(ValueError, match="between 0 and 1"):
        per_arm_of_shares(0.95, 0.1)
