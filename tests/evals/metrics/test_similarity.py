import pytest

from evals.metrics.similarity import EmbeddingSimilarity
from tests.evals.metrics.outcomes import outcome
from tests.fakes.wire import Fault


async def test_likeness_is_the_cosine_of_output_and_reference(judge, models):
    metric = EmbeddingSimilarity(models=models, alias="vectors")
    assert (await metric.score(outcome("same", ["other", "same"]))).value == pytest.approx(1)
    assert judge.last.body["input"] == ["same", "other", "same"]
    assert "text-embedding-3-small" in metric.signature


@pytest.mark.parametrize(
    ("scored", "why"), [(outcome("x"), "no_reference"), (outcome(" ", "x"), "no_text"), (outcome("x", " "), "no_text")]
)
async def test_without_two_texts_nothing_is_measured(judge, models, scored, why):
    assert (await EmbeddingSimilarity(models=models, alias="vectors").score(scored)).why == why
    assert judge.sent == []


async def test_a_model_that_fails_measures_nothing(judge, models):
    judge.always(Fault.CREDENTIAL)
    found = await EmbeddingSimilarity(models=models, alias="vectors").score(outcome("x", "y"))
    assert (found.value, found.why) == (None, "provider_failed")
