"""What a canary's rules make of what was measured."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from evals.monitors.canaries import Measured, Trial
from evals.statistics.failures import evidence_for_above, evidence_for_more_often
from evals.statistics.moments import Moments
from providers.registry.plans import Plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def measured(requests: int, failed: int, latency_ms: float | None = 100.0, cost_usd: float | None = 0.01) -> Measured:
    """Of as many units as requests."""
    answered = requests - failed
    taken = [Moments(0, 0.0, 0.0) if m is None else Moments(answered, m, (m / 4) ** 2) for m in (latency_ms, cost_usd)]
    return Measured(requests, Moments.of_share(failed, requests), *taken)


LIVE = measured(500, 5)
WELL = measured(100, 1, 105.0)


def verdict(
    candidate: Measured, rules: dict[str, Any], *, live: Measured = LIVE, score: float | None = None, ago: int = 10
) -> Any:
    plan = Plan.model_validate({"steps": [{"weight": 20, "minutes": 10}], "rules": rules})
    found = Trial(plan, 0, NOW - timedelta(minutes=ago), candidate, live, score).verdict(NOW)
    return None if found is None else found.well


@pytest.mark.parametrize(
    ("candidate", "rules", "expected"),
    [
        (WELL, {}, True),
        (WELL, {"max_error_rate": 0.02}, True),
        (measured(100, 20), {"max_error_rate": 0.02}, False),
        (measured(100, 3), {"max_error_rate": 0.02}, None),
        (measured(12, 12), {"max_error_rate": 0.02}, False),
        (measured(20, 0), {"max_error_rate": 0.02}, None),
        (measured(100, 20), {"max_error_rate": 0.5}, True),
        (WELL, {"max_latency_ratio": 1.2}, True),
        (measured(100, 0, 180.0), {"max_latency_ratio": 1.2}, False),
        (measured(100, 0, 121.0), {"max_latency_ratio": 1.2}, None),
        (measured(100, 0, None), {"max_latency_ratio": 1.2}, None),
        (measured(12, 12), {"max_latency_ratio": 1.2}, False),
        (measured(12, 12), {}, False),
        (measured(100, 20), {"max_cost_ratio": 1.5}, False),
        (measured(100, 3), {"max_latency_ratio": 1.2}, True),
        (measured(100, 100), {"max_error_rate": 1}, True),
        (measured(100, 0, cost_usd=0.02), {"max_cost_ratio": 1.5}, False),
        (measured(100, 0, cost_usd=None), {"max_cost_ratio": 1.5}, None),
        (WELL, {"min_score": 0.5}, False),
    ],
    ids=[
        "no rule", "few errors", "many errors", "perhaps more errors", "all fail", "few requests", "within the rule", "as fast",
        "slower", "perhaps slower", "unmeasured", "all fail and none is timed", "all fail without a rule",
        "many errors without a rule", "few errors without a rule", "may all fail", "dearer", "unpriced", "no score",
    ],
)  # fmt: skip
def test_what_is_wrong_beyond_doubt_is_taken_back_and_what_is_not_known_stays(
    candidate: Measured, rules: dict[str, Any], expected: bool | None
) -> None:
    assert verdict(candidate, rules) is expected


def test_what_the_live_version_refuses_as_often_takes_nothing_back() -> None:
    """A caller whose bad input both versions' guards refuse."""
    rules, refusing = {"max_error_rate": 0.02}, measured(400, 120)
    assert verdict(measured(100, 30), rules, live=refusing) is True
    assert verdict(measured(100, 33), rules, live=refusing) is None
    assert verdict(measured(100, 80), rules, live=refusing) is False


def test_a_step_lasts_its_time_but_what_is_wrong_does_not_wait() -> None:
    assert verdict(WELL, {"max_error_rate": 0.02}, ago=9) is None
    assert verdict(measured(100, 20), {"max_error_rate": 0.02}, ago=1) is False


def test_the_live_version_has_to_be_measured_as_well_where_it_is_compared_with() -> None:
    assert verdict(WELL, {"max_latency_ratio": 2}, live=measured(10, 0)) is None
    assert verdict(WELL, {"min_score": 0.5}, score=0.6) is True


def test_evidence_of_failures_that_are_no_more_stays_low_however_often_it_is_looked_at() -> None:
    """1,000 trials, each looked at after every request: at most alpha of them are ever alarmed."""
    rng = np.random.default_rng(7)
    more = above = 0
    for _ in range(1000):
        fails, mine = rng.random(400) < 0.05, rng.random(400) < 0.2
        own, other, units = np.cumsum(fails & mine), np.cumsum(fails & ~mine), np.cumsum(mine)
        at = np.flatnonzero(fails & mine)
        more += any(evidence_for_more_often(own[i], other[i], 0.2) >= 20 for i in at)
        above += any(evidence_for_above(own[i], int(units[i]), 0.05) >= 20 for i in at)
    assert more <= 50
    assert above <= 50
    assert evidence_for_more_often(8, 2, 0.2) > 20 > evidence_for_more_often(4, 8, 0.2)
