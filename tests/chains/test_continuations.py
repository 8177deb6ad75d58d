import pytest

from chains.continuations import going_on, onward
from retrievers.base import Passage
from tests.chains.test_grounding import chunk

RUNS, THEN = "The lease runs for two years.", "It is then renewed by six months."
CUT, TOLD = "PVC must not be cut, because gas is released.", "The key hangs behind the bar."
TEXT = f"# Lease\n\n{RUNS} {THEN}\n\n{CUT}\n\n{TOLD} The bar opens at noon."
PASSAGES = [Passage(chunk(TEXT, context="Lease"), 1.0)]


@pytest.mark.parametrize(
    ("question", "which"),
    [
        ("And after that?", "then"),
        ("What happens then?", "then"),
        ("Und danach?", "then"),
        ("Why?", "why"),
        ("And why is that so?", "why"),
        ("Warum das?", "why"),
        ("Why is the yard closed?", None),
        ("What comes after the break?", None),
        ("And after the break?", None),
    ],
)
def test_a_question_only_goes_on_from_the_answer_before(question: str, which: str | None) -> None:
    assert onward(question) == which


@pytest.mark.parametrize(
    ("which", "answer", "text"),
    [
        ("then", RUNS, THEN),
        ("then", f"{RUNS} {THEN}", THEN),
        ("why", CUT, CUT),
        ("why", RUNS, None),
        ("then", TOLD, None),
        ("then", CUT, None),
        ("why", "The collection “office” does not hold an answer to this question.", None),
        ("why", "", None),
    ],
    ids=["behind", "told-already", "itself", "no-reason", "nothing-follows", "another-paragraph", "refused", "empty"],
)
def test_what_stands_behind_the_answer_or_it_itself_goes_on(which, answer: str, text: str | None) -> None:
    quote = going_on(which, answer, PASSAGES)
    assert (None if quote is None else quote.text) == text
