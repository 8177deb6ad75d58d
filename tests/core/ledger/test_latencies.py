"""Quantiles of what was counted in buckets are near those of the durations themselves."""

import random
from collections import Counter

import pytest

from core.ledger.latencies import BOUNDS, bucket_of, quantile


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_quantile_is_near_the_true_one(share: float) -> None:
    chance = random.Random(1)
    durations = sorted(chance.lognormvariate(6, 1) for _ in range(2_000))
    found = quantile(Counter(map(bucket_of, durations)), share)
    assert found == pytest.approx(durations[int(share * len(durations)) - 1], rel=0.08)


def test_of_nothing_there_is_none() -> None:
    assert quantile({}, 0.5) is None


@pytest.mark.parametrize("value", [0.0, BOUNDS[0], BOUNDS[7], BOUNDS[-1]])
def test_a_bound_is_in_the_bucket_that_it_ends(value: float) -> None:
    assert quantile({bucket_of(value): 1}, 1.0) == max(value, BOUNDS[0])


def test_what_took_longer_than_any_bucket_is_told_as_the_longest() -> None:
    assert quantile({bucket_of(10 * BOUNDS[-1]): 3}, 0.5) == BOUNDS[-1]
