import pytest

from core.errors import BudgetExceeded, DataPolicyRefused
from retrievers.steps.reranking import RerankStep
from retrievers.steps.settings import Rerank
from tests.retrievers.steps.making import names, passage, retrieved

FOUND = retrieved(passage("a", 0.9), passage("b", 0.8), passage("c", 0.7), query="q")


def saying(*worth: float | None):
    async def judge(query, passages):
        assert query == "q"
        return worth[: len(passages)]

    return judge


async def test_what_the_judge_says_decides():
    found = await RerankStep(Rerank(), saying(0.1, 1.0, 0.5)).ainvoke(FOUND)
    assert names(found.passages) == ["b", "c", "a"]
    assert [one.score for one in found.passages] == sorted((one.score for one in found.passages), reverse=True)


async def test_equal_judgements_leave_the_order_of_the_search():
    found = await RerankStep(Rerank(), saying(0.5, 0.5, 0.5)).ainvoke(FOUND)
    assert names(found.passages) == ["a", "b", "c"]


async def test_only_the_candidates_are_judged_and_the_rest_stays_behind_them():
    found = await RerankStep(Rerank(candidates=2), saying(0.0, 1.0)).ainvoke(FOUND)
    assert names(found.passages) == ["b", "a", "c"]
    assert found.passages[1].score >= found.passages[2].score
    assert [one.judged for one in found.passages] == [1.0, 0.0, None]


async def test_one_that_the_judge_says_nothing_of_comes_after_those_that_it_likes():
    found = await RerankStep(Rerank(), saying(None, 0.9, 0.8)).ainvoke(FOUND)
    assert names(found.passages) == ["b", "c", "a"]


async def test_a_judge_that_says_little_is_done_without_and_it_is_said():
    found = await RerankStep(Rerank(), saying(None, None, 0.9)).ainvoke(FOUND)
    assert names(found.passages) == ["a", "b", "c"]
    assert found.impaired
    assert [(step.name, step.skipped) for step in found.steps] == [("rerank", "provider_failed")]


async def test_over_budget_what_was_found_stays():
    async def judge(query, passages):
        raise BudgetExceeded("The budget is used up.")

    found = await RerankStep(Rerank(), judge).ainvoke(FOUND)
    assert names(found.passages) == ["a", "b", "c"]
    assert found.steps[0].skipped == "budget_exceeded"


async def test_what_a_policy_refuses_is_refused():
    async def judge(query, passages):
        raise DataPolicyRefused("Not there.")

    with pytest.raises(DataPolicyRefused):
        await RerankStep(Rerank(), judge).ainvoke(FOUND)


async def test_steps_compose_as_runnables_do():
    chain = RerankStep(Rerank(), saying(0.1, 1.0, 0.5)) | RerankStep(Rerank(weight=1), saying(0.0, 0.2, 1.0))
    found = await chain.ainvoke(FOUND)
    assert names(found.passages) == ["a", "c", "b"]
    assert [step.name for step in found.steps] == ["rerank", "rerank"]
