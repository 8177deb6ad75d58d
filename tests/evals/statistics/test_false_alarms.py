"""How often the gate is wrong, at a small count; `make prove ARGS=statistics` has the full ones."""

import numpy as np

from evals.statistics.comparison import compare
from evals.statistics.verdicts import Verdict


def test_the_gate_seldom_alarms_where_nothing_differs_and_finds_a_stated_effect():
    rng = np.random.default_rng(1)
    alarms = found = equal = 0
    for seed in range(120):
        a, b = rng.beta(2, 1, (2, 60)).tolist()
        alarms += compare(a, b, seed=seed).verdict in (Verdict.BETTER, Verdict.WORSE)
        first, second = rng.normal(0, 0.7, (2, 60))
        found += compare(first.tolist(), (second + 0.5).tolist(), seed=seed).verdict is Verdict.BETTER
        equal += compare(first.tolist(), second.tolist(), seed=seed, effect=0.5).verdict is Verdict.NO_DIFFERENCE
    assert alarms / 120 <= 0.09  # of 120 an honest 5 % is often 7 or 8
    assert found / 120 >= 0.9
    assert equal / 120 >= 0.8
