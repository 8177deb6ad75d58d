"""A sentence without a name is of what was spoken of, and not of what was mentioned by the way."""

import pytest

from chains.bystanders import is_bystander

FERN = (
    "The Ambrel fern needs shade and is watered every four days. Do not plant it next to the Corvus ivy. "
    "It grows to a height of 70 centimetres. It was first described by Lene Osterby in 1911."
)
TABLETS = "Solvarin tablets. Adults take two tablets twice a day. Do not take Solvarin together with Mestolex. Store it dry."
ROSE = "The Tarn rose flowers in June. Its scent is stronger than that of the Belmont rose. It costs 14 euros."
BUS = "Take the bus to Halden. It leaves at nine. The Orvik line has stopped."
MAKER = "The Norvik plant makes Solvarin. The tablets are white."
WOMAN = "The Ambrel House was lent to Lene Osterby. She was born in 1880."


def told(name: str, question: str, passage: str, sentence: str, *, terms: bool = False) -> bool:
    return is_bystander(name, question, passage, passage[: passage.index(sentence)], sentence, terms=terms)


BY_THE_WAY = [
    ("Corvus", "How high does the Corvus ivy grow?", FERN, "It grows to a height of 70 centimetres."),
    ("Corvus", "Who first described the Corvus ivy?", FERN, "It was first described by Lene Osterby in 1911."),
    ("Corvus", "How high does the Corvus ivy grow?", FERN, "The Ambrel fern needs shade and is watered every four days."),
    ("Belmont", "What does the Belmont rose cost?", ROSE, "Its scent is stronger than that of the Belmont rose."),
    ("Belmont", "What does the Belmont rose cost?", ROSE, "It costs 14 euros."),
    ("Mestolex", "What are the side effects of Mestolex?", TABLETS, "Do not take Solvarin together with Mestolex."),
    ("Mestolex", "How many tablets of Mestolex do adults take?", TABLETS, "Adults take two tablets twice a day."),
]
SPOKEN_OF = [
    ("Ambrel", "How high does the Ambrel fern grow?", FERN, "It grows to a height of 70 centimetres."),
    ("Lene", "When did Lene Osterby describe it?", FERN, "It was first described by Lene Osterby in 1911."),
    ("Halden", "When does the bus to Halden leave?", BUS, "It leaves at nine."),
    ("Halden", "When does the Halden bus leave?", BUS, "It leaves at nine."),
    ("Solvarin", "What colour are Solvarin tablets?", MAKER, "The tablets are white."),
    ("Lene", "When was Lene Osterby born?", WOMAN, "She was born in 1880."),
    ("Mestolex", "How is Mestolex stored?", "Mestolex\n\n" + TABLETS, "Store it dry."),
]


@pytest.mark.parametrize(
    ("case", "by_the_way"), [*((case, True) for case in BY_THE_WAY), *((case, False) for case in SPOKEN_OF)], ids=str
)
def test_a_mention_by_the_way_is_told_from_a_subject(case: tuple[str, str, str, str], by_the_way: bool) -> None:
    assert told(*case) is by_the_way


def test_a_mention_by_the_way_answers_what_is_asked_of_it() -> None:
    question, sentence = "What must nobody plant beside Corvus?", "Do not plant it next to the Corvus ivy."
    assert not told("Corvus", "What is never planted by the Corvus ivy?", FERN, sentence, terms=True)
    assert not told("Corvus", question, FERN, sentence)
