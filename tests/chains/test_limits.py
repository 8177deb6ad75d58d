import pytest

from chains.limits import Limited
from chains.specifics import specifics
from tests.chains.test_grounding import words


@pytest.mark.parametrize(
    ("question", "text", "limited"),
    [
        ("May I bring three guests?", "Each member may bring up to two guests.", True),
        ("Are five dogs allowed?", "No more than 2 large dogs are allowed.", True),
        ("Darf ich drei Gäste mitbringen?", "Es sind höchstens zwei Gäste erlaubt.", True),
        ("May I bring three guests?", "Two guests came yesterday.", False),
        ("May I bring three guests?", "At most two dogs may come.", False),
    ],
)
def test_a_limit_for_what_is_counted_answers_any_number(question: str, text: str, limited: bool) -> None:
    asked = Limited.of(question)
    assert asked is not None
    assert asked.limited(text) is limited


@pytest.mark.parametrize("question", ["How many guests may I bring?", "Which three guests came?", "May I bring guests?"])
def test_other_questions_count_nothing(question: str) -> None:
    assert Limited.of(question) is None


def test_only_the_number_is_no_longer_looked_for() -> None:
    question = "May I bring three guests to boat 7?"
    asked = Limited.of(question)
    assert asked is not None
    left = asked.without(specifics(question, words=words))
    assert "3" not in left.numbers
    assert "7" in left.numbers
    assert "guests" in left.terms
