import pytest

from chains.quotes import Quote
from chains.remedies import ASKED, completed, with_remedy
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


SHAFT = "Install the pump with its shaft horizontal. Otherwise air collects and the bearings run dry. Use clean water."


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("Why must the shaft be horizontal?", SHAFT.removesuffix(" Use clean water.")),
        ("What happens if the shaft is not horizontal?", SHAFT.removesuffix(" Use clean water.")),
        ("How is the shaft to be?", "Install the pump with its shaft horizontal."),
    ],
)
def test_what_comes_of_it_otherwise_is_told_to_who_asks_why(question: str, told: str) -> None:
    assert completed(quoted(SHAFT, "Install the pump with its shaft horizontal."), question).text == told


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Install it level, because air collects. Otherwise it runs dry.", "Install it level, because air collects."),
        ("Install it level. Use clean water.", "Install it level."),
        ("Install it level.\n\nOtherwise it runs dry.", "Install it level."),
    ],
    ids=["it says why itself", "no reason behind it", "another paragraph"],
)
def test_where_no_reason_follows_the_quote_stays_as_it_is(text: str, sentence: str) -> None:
    assert completed(quoted(text, sentence), "Why must it be level?").text == sentence
