import math

import pytest

from evals.metrics.ranking import Ndcg, Precision, Recall, ReciprocalRank
from tests.evals.metrics.outcomes import outcome


def found(*documents: str, context: tuple[str, ...] = ("a", "b"), **more):
    return outcome("x", context=context, answer={"results": [{"document": name} for name in documents]}, **more)


@pytest.mark.parametrize(
    ("metric", "documents", "value"),
    [
        (Ndcg, ("a", "b", "x"), 1),
        (Ndcg, ("x", "a", "y", "b"), (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3))),
        (ReciprocalRank, ("x", "y", "b", "a"), 1 / 3),
        (ReciprocalRank, ("x", "y"), 0),
        (Recall, ("x", "b"), 0.5),
        (Precision, ("x", "b"), 0.5),
        (Precision, ("a",), 1),
        (Precision, (), 0),
        (Recall, (), 0),
        (Recall, ("a", "a", "a"), 0.5),  # passages of one document are one hit
        (Ndcg, ("a", "a", "b"), 1),
    ],
)
async def test_what_was_found_is_held_against_what_is_right(metric, documents, value):
    assert (await metric().score(found(*documents))).value == pytest.approx(value)


async def test_only_the_first_k_count():
    assert (await Recall(k=1).score(found("x", "a"))).value == 0
    assert (await Precision(k=1).score(found("a", "x"))).value == 1
    assert (await Ndcg(k=1).score(found("a", "x"))).value == 1


async def test_grades_say_how_right_a_document_is():
    """Wikipedia's example of nDCG, as a search over six graded documents: DCG 6.861, ideal 7.141."""
    names = ("d1", "d2", "d3", "d4", "d5", "d6")
    grades = dict(zip(names, (3, 2, 3, 0, 1, 2), strict=True))
    score = await Ndcg(k=6).score(found(*names, context=names, labels={"grades": grades}))
    assert score.value == pytest.approx(6.861 / 7.141, abs=1e-3)


async def test_citations_count_where_an_answer_has_no_results_and_ids_are_names_too():
    cited = outcome("x", context=("doc_1",), answer={"citations": [{"document": "a.md", "document_id": "doc_1", "quote": "q"}]})
    assert (await Recall().score(cited)).value == 1


async def test_passages_are_found_by_their_text():
    answer = {"results": [{"document": "a", "text": "Before. The warranty\nlasts 24 months. After."}]}
    right = outcome("x", context=("The warranty lasts 24 months.", "Something else"), answer=answer)
    assert (await Recall(by="text").score(right)).value == 0.5


@pytest.mark.parametrize("metric", [Ndcg, ReciprocalRank, Recall, Precision])
async def test_without_what_is_right_or_what_was_found_nothing_is_measured(metric):
    assert (await metric().score(found("a", context=()))).why == "no_context"
    assert (await metric().score(outcome("x", context=("a",)))).why == "no_results"
