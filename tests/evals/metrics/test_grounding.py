import json

import pytest

from evals.metrics.grounding import CitationPrecision, CitationRecall, Faithfulness, Relevance, statements
from tests.evals.metrics.outcomes import outcome
from tests.fakes.wire import Reply

QUOTES = ["The warranty lasts 24 months.", "Damage by frost is not covered by Acme."]


def cited(output: str, *quotes: str, **more):
    return outcome(output, answer={"citations": [{"document": "a.md", "quote": quote} for quote in quotes]}, **more)


@pytest.mark.parametrize(
    ("metric", "output", "quotes", "value"),
    [
        (Faithfulness, "The warranty lasts 24 months [1]. Frost damage is not covered [2].", QUOTES, 1),
        (Faithfulness, "The warranty lasts 24 months [1]. It includes free coffee.", QUOTES, 0.5),
        (CitationRecall, "The warranty lasts 36 months.", QUOTES, 0),
        (CitationRecall, "The warranty lasts 24 months.", [], 0),
        (CitationPrecision, "The warranty lasts 24 months [1].", QUOTES, 0.5),
        (CitationPrecision, "The warranty lasts 24 months [1]. Frost damage is not covered [2].", QUOTES, 1),
    ],
)
async def test_without_a_judge_the_words_tell_what_is_supported(models, metric, output, quotes, value):
    assert (await metric(models=models).score(cited(output, *quotes))).value == value


@pytest.mark.parametrize(
    ("metric", "scored", "why"),
    [
        (Faithfulness, outcome("It lasts.", answer={}), "no_sources"),
        (Faithfulness, outcome("", answer={"citations": []}), "no_text"),
        (Faithfulness, cited("...", *QUOTES), "no_statements"),
        (CitationPrecision, cited("It lasts."), "no_citations"),
        (CitationRecall, outcome("It lasts."), "no_citations"),
        (Relevance, outcome("I do not know.", answer={"answered": False}), "not_answered"),
    ],
)
async def test_where_there_is_nothing_to_judge_nothing_is_measured(models, metric, scored, why):
    found = await metric(models=models).score(scored)
    assert (found.value, found.why) == (None, why)


@pytest.mark.parametrize(
    ("metric", "said", "value"),
    [
        (Faithfulness, {"follows": [True, False]}, 0.5),
        (CitationRecall, {"follows": [True, True]}, 1),
        (CitationPrecision, {"supports": [False, True]}, 0.5),
        (Relevance, {"reason": "r", "grade": 7}, 0.7),
    ],
)
async def test_a_judge_says_what_follows(judge, models, metric, said, value):
    judge.then(Reply(json.dumps(said)))
    found = await metric(models=models, judge="judge").score(cited("It lasts two years [1]. Not for frost [2].", *QUOTES))
    assert found.value == pytest.approx(value)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (Faithfulness, {"follows": [True]}),
        (Faithfulness, {"follows": ["yes", "no"]}),
        (CitationPrecision, {"supports": [True, True, True]}),
        (Relevance, {"reason": "r", "grade": 70}),
    ],
)
async def test_a_judge_that_says_more_or_less_than_was_asked_says_nothing(judge, models, metric, said):
    judge.then(Reply(json.dumps(said)))
    found = await metric(models=models, judge="judge").score(cited("It lasts two years [1]. Not for frost [2].", *QUOTES))
    assert (found.value, found.why) == (None, "unreadable_verdict")


async def test_passages_of_the_example_and_results_are_sources_too(models):
    scored = outcome("The warranty lasts 24 months.", context=QUOTES)
    assert (await Faithfulness(models=models).score(scored)).why == "no_sources"
    assert (await Faithfulness(models=models, context=True).score(scored)).value == 1
    found = outcome("The warranty lasts 24 months.", answer={"results": [{"document": "a.md", "text": QUOTES[0]}]})
    assert (await Faithfulness(models=models).score(found)).value == 1


async def test_relevance_without_a_judge_is_the_likeness_of_question_and_answer(judge, models):
    found = await Relevance(models=models, embeddings="vectors").score(outcome("What is it?"))
    assert found.value == pytest.approx(1)
    assert judge.last.path.endswith("/embeddings")


def test_statements_are_sentences_without_marks_and_announcements():
    assert statements("It lasts [1]. These are:\n- bolts [2]\n- nuts\n\n…") == ["It lasts.", "- bolts", "- nuts"]


def test_who_judges_is_told_by_the_signature(models):
    assert "by_words" in Faithfulness(models=models).signature
    assert "judge=judge" in Faithfulness(models=models, judge="judge").signature
    with pytest.raises(ValueError, match="judge"):
        Faithfulness(models=models, judge="nobody")
