import numpy as np
import pytest
from scipy import stats

from evals.statistics.resampling import bootstrap_interval, randomisation_p


def test_the_interval_is_scipys_bca_but_for_its_widening():
    values = np.random.default_rng(1).lognormal(0, 1, 400)
    wanted = stats.bootstrap(
        (values,), np.mean, method="BCa", n_resamples=4000, rng=np.random.default_rng(2)
    ).confidence_interval
    low, high = bootstrap_interval(values, alpha=0.05, seed=3, resamples=4000)
    assert low == pytest.approx(wanted.low, abs=0.03)
    assert high == pytest.approx(wanted.high, abs=0.03)


def test_small_samples_are_covered_as_often_as_is_said():
    rng = np.random.default_rng(4)
    missed = 0
    for seed in range(400):
        low, high = bootstrap_interval(rng.normal(1, 1, 8), alpha=0.1, seed=seed, resamples=999)
        missed += not low <= 1 <= high
    assert missed / 400 <= 0.14  # without the widening .19


def test_randomisation_agrees_with_the_exact_test_and_adds_its_own_chance():
    values = np.random.default_rng(5).normal(0.4, 1, 40)
    p, sure = randomisation_p(values, seed=6)
    assert p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.02)
    assert p < sure < p + 0.03
