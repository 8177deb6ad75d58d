import json

import pytest

from evals.base import Score
from evals.metrics.preference import FLIPPED, Preference
from tests.evals.metrics.outcomes import outcome
from tests.fakes.wire import Reply


def says(better: str) -> Reply:
    return Reply(json.dumps({"reason": "so it is", "better": better}))


@pytest.mark.parametrize(
    ("own_first", "own_second", "value", "why"),
    [
        ("first", "second", 1, None),
        ("second", "first", 0, None),
        ("tie", "tie", 0.5, None),
        ("first", "first", 0.5, FLIPPED),
        ("second", "second", 0.5, FLIPPED),
        ("first", "tie", 0.75, None),
        ("tie", "first", 0.25, None),
    ],
)
async def test_both_orders_are_asked(judge, models, own_first, own_second, value, why):
    judge.then(says(own_first), says(own_second))
    found = await Preference(models=models, judge="judge").score(outcome("OWN", "OTHER"))
    assert (found.value, found.why) == (value, why)
    shown = [sent.body["messages"][1]["content"] for sent in judge.sent]
    assert shown[0].index("OWN") < shown[0].index("OTHER")
    assert shown[1].index("OWN") > shown[1].index("OTHER")


@pytest.mark.parametrize("nonsense", ["first is better", '{"reason": "", "better": "neither"}'])
async def test_an_order_that_cannot_be_read_leaves_nothing(judge, models, nonsense):
    judge.then(says("first"), Reply(nonsense))
    found = await Preference(models=models, judge="judge").score(outcome("OWN", "OTHER"))
    assert (found.value, found.why) == (None, "unreadable_verdict")


async def test_the_other_answer_may_be_a_label(judge, models):
    judge.then(says("tie"), says("tie"))
    metric = Preference(models=models, judge="judge", against="yesterday")
    assert (await metric.score(outcome("OWN", labels={"yesterday": "OLD"}))).value == 0.5
    assert "OLD" in judge.last.body["messages"][1]["content"]
    assert (await metric.score(outcome("OWN", "OTHER"))).why == "no_reference"


def test_together_the_scores_tell_how_often_the_judge_changed_its_mind(models):
    scores = [Score(1.0), Score(0.5, FLIPPED), Score(0.5), Score.unmeasured("x"), Score(0.0)]
    told = Preference(models=models, judge="judge").together([(outcome(), score) for score in scores])
    assert told == {"flipped": 0.25}
