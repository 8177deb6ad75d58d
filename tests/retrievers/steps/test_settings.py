import pytest
from pydantic import ValidationError

from core.tables import Collection
from retrievers.steps.settings import RetrievalSteps, steps_of


def test_no_step_is_taken_that_is_not_asked_for():
    assert steps_of(Collection(name="a")) == RetrievalSteps()
    assert RetrievalSteps().stored() == {}


def test_an_empty_object_takes_a_step_with_its_defaults():
    steps = RetrievalSteps.model_validate({"mmr": {}})
    assert steps.mmr is not None
    assert steps_of(Collection(name="a", settings={"retrieval": steps.stored()})) == steps


def test_settings_of_another_version_do_not_break_the_search():
    assert steps_of(Collection(name="a", settings={"retrieval": {"telepathy": {}}})) == RetrievalSteps()


@pytest.mark.parametrize(
    "wrong",
    [
        {"mmr": {"relevance": 1.1}},
        {"mmr": {"lambda": 0.5}},
        {"telepathy": {}},
        {"time_decay": {"half_life_days": 0}},
        {"expansion": {"unit": "chapter"}},
        {"rerank": {"by": "provider"}},
        {"rerank": {"by": "cross_encoder", "model": "default"}},
        {"compression": {"tokens": 1}},
    ],
    ids=str,
)
def test_what_is_no_step_is_refused(wrong):
    with pytest.raises(ValidationError):
        RetrievalSteps.model_validate(wrong)


def test_the_aliases_are_told_with_the_kind_that_each_has_to_be_of():
    steps = RetrievalSteps.model_validate(
        {"hyde": {"model": "m"}, "rerank": {"by": "provider", "model": "r"}, "multi_query": {}}
    )
    assert steps.models() == {"retrieval.hyde.model": ("m", "chat"), "retrieval.rerank.model": ("r", "rerank")}
