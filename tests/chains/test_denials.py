import pytest

from chains.denials import asks_what_is_not, denies
from chains.quotes import candidates
from tests.chains.test_grounding import chunk


@pytest.mark.parametrize(
    "question",
    [
        "Which orders have not been shipped?",
        "Which orders aren't shipped yet?",
        "Who may not work remotely?",
        "What does the warranty not cover?",
        "How many orders were never paid?",
        "Welche Bestellungen wurden nicht geliefert?",
        "Wer hat keine Stimme?",
    ],
)
def test_a_question_asks_for_what_is_not(question: str) -> None:
    assert asks_what_is_not(question)


@pytest.mark.parametrize(
    "question",
    [
        "Which orders have been shipped?",
        "What happens if the invoice is not paid?",
        "What should I do when it does not start?",
        "Who pays if nobody is there, and not the tenant?",
        "Why does it not start?",
        "Does the warranty not cover frost?",
        "What does it mean that the lamp is not on?",
    ],
)
def test_other_questions_do_not(question: str) -> None:
    assert not asks_what_is_not(question)


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("Damage by frost is not covered.", True),
        ("Damage by frost is excluded.", True),
        ("The order is still outstanding.", True),
        ("Der Antrag wurde abgelehnt.", True),
        ("The order was shipped on Monday.", False),
        ("| Order | Shipped | Paid |\n|---|---|---|\n| A-1 | 2025-02-12 | yes |", False),
        ("| Order | Shipped | Paid |\n|---|---|---|\n| A-2 | | yes |", True),
        ("| Order | Shipped | Paid |\n|---|---|---|\n| A-2 | - | yes |", True),
    ],
)
def test_a_text_says_that_something_is_not_so(text: str, does: bool) -> None:
    assert denies(candidates(chunk(text))[-1]) is does
