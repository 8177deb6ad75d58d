import json

import pytest

from evals.base import Metric, OfScores, Score
from evals.metrics.rubric import Rubric
from tests.evals.metrics.outcomes import outcome
from tests.fakes.wire import Reply


def grade(value: int) -> Reply:
    return Reply(json.dumps({"reason": "so it is", "grade": value}))


def rubric(models, **options) -> Rubric:
    return Rubric(models=models, judge="judge", rubric="Right and short.", **options)


async def test_an_answer_has_the_grade_that_the_judge_gives(judge, models):
    judge.then(grade(4))
    found = await rubric(models).score(outcome("An answer.", question="A question?"))
    assert (found.value, found.details["grades"], found.details["reasons"]) == (4, [4], ["so it is"])
    sent = judge.last.body
    assert "Right and short." in sent["messages"][0]["content"]
    assert "from 1 (worst) to 5 (best)" in sent["messages"][0]["content"]
    assert "A question?" in sent["messages"][1]["content"]
    assert sent["temperature"] == 0


async def test_repeats_have_a_mean_and_a_variance(judge, models):
    judge.then(grade(3), grade(5), grade(4))
    found = await rubric(models, repeats=3).score(outcome("An answer."))
    assert (found.value, found.details["variance"]) == (4, 1)
    assert judge.last.body["temperature"] == 0.7


@pytest.mark.parametrize("nonsense", [Reply("five"), grade(0), grade(6), grade(1000)])
async def test_nonsense_is_unmeasured_and_never_a_low_grade(judge, models, nonsense):
    judge.always(nonsense)
    found = await rubric(models).score(outcome("An answer."))
    assert (found.value, found.why) == (None, "unreadable_verdict")


async def test_a_few_unreadable_repeats_are_left_out_and_too_many_leave_nothing(judge, models):
    judge.then(grade(4), Reply("?"), grade(4))
    found = await rubric(models, repeats=3).score(outcome("An answer."))
    assert (found.value, found.details["unmeasured"]) == (4, 1)
    judge.then(Reply("?"), grade(4), Reply("?"))
    assert (await rubric(models, repeats=3).score(outcome("An answer."))).value is None


async def test_the_right_answer_is_shown_where_that_is_asked_for(judge, models):
    judge.then(grade(2))
    await rubric(models, reference=True).score(outcome("An answer.", "Forty-two."))
    assert "Forty-two." in judge.last.body["messages"][1]["content"]
    assert (await rubric(models, reference=True).score(outcome("An answer."))).why == "no_reference"


def test_together_the_scores_tell_how_far_judge_and_people_agree(models):
    made = rubric(models, label="human")
    people = [1, 2, 3, 4, 5, 5, None]
    judged = [1, 2, 3, 4, 5, 4, 3]
    details = {"variance": 0.5}
    scored = [
        (outcome("x", labels={"human": person}), Score(float(value), details=details))
        for person, value in zip(people, judged, strict=True)
    ]
    figures = made.together(scored)
    assert figures["variance"] == 0.5
    assert figures["agreement_n"] == 6
    assert 0.9 < figures["kappa"] < 1
    assert isinstance(made, OfScores)
    assert isinstance(made, Metric)


@pytest.mark.parametrize(
    "wrong", [{"lowest": 5, "highest": 5}, {"repeats": 0}, {"scale": 3}, {"rubric": ""}, {"judge": "nobody"}]
)
def test_options_that_make_no_sense_are_refused(models, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Rubric(**{"models": models, "judge": "judge", "rubric": "r"} | wrong)


def test_the_signature_tells_judge_prompt_and_rubric(models):
    assert rubric(models).signature != rubric(models, repeats=3).signature
    assert "openai/gpt-4o-mini" in rubric(models).signature
