from decimal import Decimal

import pytest

from evals.metrics.effort import Cost, FirstToken, Latency, OutputTokens
from tests.evals.metrics.outcomes import outcome

TOLD = outcome("x", latency_s=1.5, first_token_s=0.25, cost_usd=Decimal("0.0125"), output_tokens=7)


@pytest.mark.parametrize(("metric", "value"), [(Latency, 1.5), (FirstToken, 0.25), (Cost, 0.0125), (OutputTokens, 7)])
async def test_what_was_told_is_the_score_and_what_was_not_is_unmeasured(metric, value):
    assert (await metric().score(TOLD)).value == value
    assert (await metric().score(outcome("x"))).why == "not_told"
    assert not metric().higher_is_better
