"""What every metric of the table promises."""

from typing import Any

import pytest

from evals.base import Metric, Score
from evals.metrics import METRICS
from tests.evals.metrics.outcomes import outcome
from tests.fakes.wire import Reply

NEEDED: dict[str, dict[str, Any]] = {
    "rubric": {"judge": "judge", "rubric": "Right."},
    "preference": {"judge": "judge"},
    "embedding_similarity": {"alias": "vectors"},
    "relevance": {"embeddings": "vectors"},
}
ODD = [
    outcome("", error="provider_failed"),
    outcome(""),
    outcome("\x00\ud800", "x"),
    outcome("\x00", "x\ud800", question="\ud800"),
    outcome("x", [], answer={"results": "none", "citations": None}),
    outcome("x", {"a": [1]}, answer={"results": [None, 3, {}], "citations": [{"quote": 5}]}, context=("",)),
    outcome("x", [None, 3], labels={"schema": "x", "grades": 3, "entry_point": 7}),
]


def made(name: str, models: Any) -> Metric:
    kind = METRICS.load(name)
    options = NEEDED.get(name, {})
    metric: Metric = kind(models=models, **options) if getattr(kind, "needs", None) == "models" else kind(**options)
    return metric


@pytest.mark.parametrize("name", sorted(METRICS))
async def test_it_keeps_the_interface_and_never_raises_for_what_an_outcome_holds(name, models, judge):
    judge.always(Reply("nonsense"))
    metric = made(name, models)
    assert isinstance(metric, Metric)
    assert metric.name == name
    assert metric.signature.startswith(f"{name}|r")
    assert metric.signature == made(name, models).signature
    for odd in ODD:
        found = await metric.score(odd)
        assert isinstance(found, Score)
        assert found.value is not None or found.why
    assert (await metric.score(ODD[0])).why == "provider_failed"


@pytest.mark.parametrize("name", sorted(METRICS))
def test_it_refuses_an_option_that_it_does_not_know(name, models):
    kind = METRICS.load(name)
    given = {"models": models} if getattr(kind, "needs", None) == "models" else {}
    with pytest.raises(ValueError, match="no_such_option"):
        kind(**NEEDED.get(name, {}), **given, no_such_option=1)
