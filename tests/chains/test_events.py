import numpy as np
import pytest

from chains.events import asks_whether_done, says_it_was_done
from chains.quotes import candidates
from chains.specifics import specifics
from tests.chains.test_grounding import chunk, words


def unrelated(texts):
    return np.eye(len(texts), 64, dtype=np.float32)


@pytest.mark.parametrize(
    ("question", "does"),
    [
        ("Did the board buy the boat?", True),
        ("Was the fee raised?", True),
        ("Hat der Vorstand das Boot gekauft?", True),
        ("Was kostet das Boot?", False),
        ("Was there a vote?", False),
        ("Does the board meet?", False),
    ],
)
def test_a_question_asks_whether_something_was_done(question: str, does: bool) -> None:
    assert asks_whether_done(question) is does


@pytest.mark.parametrize(
    ("question", "sentence", "does"),
    [
        ("Did the board buy the Heron?", "The board decided to buy the Heron.", True),
        ("Did the board buy the Heron?", "The Heron was shown to the board at its request, so as to buy it.", True),
        ("Did the board buy the Swift?", "Lena showed the Swift and the Heron.", False),
        ("Did the board buy the Swift?", "The board decided to buy the Heron.", False),
        ("Did the board reject the summer party?", "The proposal to hold a raffle was rejected.", False),
        ("Did the board approve the minutes?", "The minutes were approved.", True),
        ("Was the fee raised?", "The fee may be raised once a year.", False),
    ],
)
def test_only_a_sentence_that_speaks_of_it_itself_says_so(question: str, sentence: str, does: bool) -> None:
    text = f"# Minutes\n\n## The summer party of the board\n\n{sentence}"
    quote = candidates(chunk(text, context="Minutes › The summer party of the board"))[-1]
    said = says_it_was_done(quote, specifics(question, words=words), embed=unrelated, words=words)
    assert said is does


def test_a_sentence_that_points_is_of_what_its_heading_names() -> None:
    quote = candidates(chunk("## Raffle\n\nIt was rejected.", context="Minutes"))[-1]
    asked = specifics("Was the raffle rejected?", words=words)
    assert says_it_was_done(quote, asked, embed=unrelated, words=words)
