import pytest

from chains.quotes import Quote
from chains.remedies import ASKED, with_remedy
from retrievers.base import Chunk

JUMPS = (
    "Levels jump by exactly 10 metres. The gauge has lost its datum. Run `tidewatch datum`. Then look again.\n\nOther things."
)


def quoted(text: str, sentence: str, **more: object) -> Quote:
    start = text.index(sentence)
    return Quote(Chunk("c1", "d1", "a.md", 1, text, 0, len(text), context=""), start, start + len(sentence), 1.0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "question",
    ["What should I do if the level jumps?", "The lamp is red. What must we do?", "Was soll ich tun, wenn es piept?"],
)
def test_what_asks_for_a_remedy_is_known(question: str) -> None:
    assert ASKED.search(question)


def test_the_trouble_is_quoted_with_the_sentences_that_say_what_to_do() -> None:
    quote = with_remedy(quoted(JUMPS, "Levels jump by exactly 10 metres."))
    assert quote.text == "Levels jump by exactly 10 metres. The gauge has lost its datum. Run `tidewatch datum`."


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("If it is red, switch it off. It cools down.", "If it is red, switch it off."),
        ("It may be red.\n\nAnother paragraph.", "It may be red."),
    ],
    ids=["it says so itself", "nothing behind it"],
)
def test_other_quotes_stay_as_they_are(text: str, sentence: str) -> None:
    assert with_remedy(quoted(text, sentence)).text == sentence
