import pytest

from chains.collocations import Collocations

TEXTS = ["The open day takes place in May.", "We are open every day.", "The shop number is on the door."]


@pytest.mark.parametrize(
    ("question", "text", "lacking"),
    [
        ("How long does the open day last?", "The shop is open from 9 to 17.", True),
        ("How long does the open day last?", "The open day lasts three hours.", False),
        ("When is the open day?", "Open days: 3 May", False),
        ("How long is the shop open?", "The shop is open from 9 to 17.", False),
        ("What is the shop number?", "Number: 7", False),
        ("When is the closed day?", "The shop is open from 9 to 17.", False),
    ],
    ids=["apart", "together", "plural", "no-pair", "no-time", "nobody-knows-it"],
)
def test_two_words_that_name_one_thing_are_looked_for_together(question: str, text: str, lacking: bool) -> None:
    assert Collocations(question, TEXTS).lacking(text) is lacking
