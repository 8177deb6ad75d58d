"""What a canary's rules make of what was measured."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from evals.monitors.canaries import Measured, Trial
from providers.registry.plans import Plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIVE = Measured(calls=500, failed=5, latency_ms=100.0, cost_usd=0.01)
WELL = Measured(calls=100, failed=1, latency_ms=110.0, cost_usd=0.01)


def verdict(
    candidate: Measured, rules: dict[str, Any], *, live: Measured = LIVE, score: float | None = None, ago: int = 10
) -> Any:
    plan = Plan.model_validate({"steps": [{"weight": 5, "minutes": 10}], "rules": rules})
    found = Trial(plan, 0, NOW - timedelta(minutes=ago), candidate, live, score).verdict(NOW)
    return None if found is None else found.well


@pytest.mark.parametrize(
    ("candidate", "rules", "expected"),
    [
        (WELL, {}, True),
        (WELL, {"max_error_rate": 0.02}, True),
        (Measured(100, 3, 110.0, 0.01), {"max_error_rate": 0.02}, False),
        (Measured(49, 49, 110.0, 0.01), {"max_error_rate": 0.02}, None),
        (WELL, {"max_latency_ratio": 1.2}, True),
        (Measured(100, 0, 121.0, 0.01), {"max_latency_ratio": 1.2}, False),
        (Measured(100, 0, None, 0.01), {"max_latency_ratio": 1.2}, None),
        (Measured(100, 0, 100.0, 0.02), {"max_cost_ratio": 1.5}, False),
        (Measured(100, 0, 100.0, None), {"max_cost_ratio": 1.5}, None),
        (WELL, {"min_score": 0.5}, False),
    ],
    ids=[
        "no rule", "few errors", "many errors", "few calls", "as fast", "slower", "unmeasured", "dearer", "unpriced", "no score"
    ],
)  # fmt: skip
def test_a_rule_that_does_not_hold_takes_it_back_and_one_that_was_not_measured_keeps_it(
    candidate: Measured, rules: dict[str, Any], expected: bool | None
) -> None:
    assert verdict(candidate, rules) is expected


def test_a_step_lasts_its_time_but_what_is_wrong_does_not_wait() -> None:
    assert verdict(WELL, {"max_error_rate": 0.02}, ago=9) is None
    assert verdict(Measured(100, 3, 110.0, 0.01), {"max_error_rate": 0.02}, ago=1) is False


def test_the_live_version_has_to_be_measured_as_well_where_it_is_compared_with() -> None:
    assert verdict(WELL, {"max_latency_ratio": 2}, live=Measured(10, 0, 100.0, 0.01)) is None
    assert verdict(WELL, {"min_score": 0.5}, score=0.6) is True
