from dataclasses import replace

import pytest

from core import context
from core.context import RequestContext
from core.errors import Forbidden
from core.principals import SYSTEM, Scope
from evals.metrics.granted import GrantedModels
from evals.metrics.rubric import Rubric
from evals.metrics.similarity import EmbeddingSimilarity
from tests.evals.metrics.outcomes import outcome

BARRED = [
    pytest.param(replace(SYSTEM, models=frozenset({"default"})), "model_not_allowed", id="other models"),
    pytest.param(replace(SYSTEM, scopes=frozenset({Scope.EVALS_RUN})), "forbidden", id="no scope"),
]


@pytest.mark.parametrize(("principal", "why"), BARRED)
async def test_a_metric_measures_nothing_by_a_model_that_may_not_be_asked(judge, models, principal, why):
    granted = GrantedModels(models)
    metrics = [EmbeddingSimilarity(models=granted, alias="vectors"), Rubric(models=granted, judge="judge", rubric="Be kind.")]
    assert granted.named == {("vectors", Scope.EMBEDDINGS_INVOKE), ("judge", Scope.CHAT_INVOKE)}
    with context.serving(RequestContext(request_id="r", principal=principal)):
        assert [(await metric.score(outcome("x", "y"))).why for metric in metrics] == [why, why]
        for asked, alias in ((granted.chat, "judge"), (granted.embeddings, "vectors")):
            with pytest.raises(Forbidden, match=r"This key"):
                asked(alias)
    assert judge.sent == []
