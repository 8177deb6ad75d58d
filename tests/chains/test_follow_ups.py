import pytest

from chains.follow_ups import follows, of_answers, readings
from retrievers.base import Chunk, Passage
from retrievers.word_analysis import Words

WORDS = Words().of


def texts(*asked: str) -> list[str]:
    return [reading.text for reading in readings(asked, words=WORDS)]


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        (("Who makes the Corvo lamp?", "Where is it made?"), "Corvo lamp: Where is it made?"),
        (("Who makes the Corvo lamp?", "Where is it made?", "What does it cost?"), "Corvo lamp: What does it cost?"),
        (("What does the Pico stool cost?", "And the Norda table?"), "What does the Norda table cost?"),
        (("What is the weight of the Pico stool?", "And that of the Corvo lamp?"), "What is the weight of the Corvo lamp?"),
        (("When does the pool open in summer?", "And in winter?"), "When does the pool open in winter?"),
        (("Wann ist Nachtruhe?", "Wie lange gilt sie?", "Und an Werktagen?"), "Nachtruhe: Wie lange gilt sie an Werktagen?"),
        (("Quel jour le musée est-il fermé ?", "Et le théâtre ?"), "Quel jour le théâtre est-il fermé ?"),
        (("Which Shino glazes are stocked?", "And which temperatures?"), "Which temperatures are stocked?"),
        (("Which days is the pool open?", "Which evenings?"), "Which evenings is the pool open?"),
        (("Which insurance does the studio have?", "When does it open?"), "studio: When does it open?"),
    ],
    ids=["points", "chain", "another", "that-of", "another-time", "german", "french", "other-asked", "the-same-asked",
         "no-attribute"],
)  # fmt: skip
def test_a_follow_up_stands_for_a_whole_question_about_what_was_spoken_of(asked: tuple[str, ...], first: str) -> None:
    assert texts(*asked)[0] == first


def test_what_somebody_did_something_with_is_spoken_of_and_by_the_name_that_the_answer_gave_it() -> None:
    asked = ("Which boat did the committee buy?", "What did it cost?")
    (reading,) = readings(asked, ["The committee decided to buy the Heron."], words=WORDS)
    assert (reading.topic, reading.named) == (("boat", "Heron"), ("Heron",))
    (reading,) = readings(asked, ["The collection “x” does not hold an answer to this question."], words=WORDS)
    assert reading.topic == ("boat",)


def test_who_did_something_is_spoken_of_as_a_person() -> None:
    asked = ["Which boat did Frida Holm buy?"]
    assert [one.topic for one in readings([*asked, "What did it cost?"], words=WORDS)] == [("boat",), ("Frida", "Holm")]
    assert readings([*asked, "Where was she born?"], words=WORDS)[0].topic == ("Frida", "Holm")


def test_how_much_of_it_asks_for_what_was_asked_for() -> None:
    asked = ("Which fuel does the Skua X2 take?", "Is it loud?", "How much of it?")
    assert [reading.topic for reading in readings(asked, words=WORDS)] == [("fuel",)]


def test_another_thing_takes_the_place_of_what_the_question_itself_was_about() -> None:
    asked = ("When is the summer party?", "Who orders the tents?", "By when?", "And the band?")
    (first, *_) = readings(asked, words=WORDS)
    assert first.text == "Who orders the band By when?"
    assert first.inside


def test_a_question_without_words_of_its_own_goes_on_from_the_answer() -> None:
    assert [reading.onward for reading in readings(("How long is the lease?", "And after that?"), words=WORDS)] == ["then"]


@pytest.mark.parametrize(
    "question",
    ["What does the Corvo lamp cost?", "Is there a lift that goes to the third floor of Tower B?", "Was wiegt der KX-210?"],
    ids=["named", "relative", "german"],
)
def test_a_question_that_names_what_it_is_about_is_not_bent(question: str) -> None:
    assert texts("Where is the Norda table made?", question) == [question]


def test_a_question_that_may_stand_by_itself_is_read_so_as_well() -> None:
    assert (
        texts("Where is the Norda table made?", "How many spaces has the car park?")[-1] == "How many spaces has the car park?"
    )
    assert texts("Where is the Norda table made?", "How long is the warranty?")[0] == "Norda table: How long is the warranty?"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Wie lange dauert sie am Wochenende denn?", True),
        ("Et qui en est le directeur actuel ?", True),
        ("¿Y dónde está ella ahora mismo exactamente?", True),
        ("E quando apre lui di solito la mattina?", True),
        ("E onde fica ela durante o verão?", True),
        ("En hoeveel kost die op zondag precies?", True),
        ("And what does it cost?", True),
        ("Gdzie jest najbliższy przystanek autobusowy?", True),  # in doubt: nothing is known of its language
        ("How long is the warranty?", True),
        ("What does the Corvo lamp cost in Norway?", False),
        ("Was kostet der Eintritt in Halle 7?", False),
    ],
)
def test_a_follow_up_is_told_in_several_languages(question: str, expected: bool) -> None:
    assert follows(question) is expected


def test_passages_are_of_the_document_that_the_answer_before_says_again() -> None:
    said = {"a": "The Corvo lamp weighs 2.7 kg. It is made in Braga.", "b": "The Pico stool weighs 5.1 kg."}
    passages = [Passage(Chunk(f"c{name}", name, name, 1, text, 0, len(text), context=""), 1.0) for name, text in said.items()]
    assert of_answers(["There is nothing like that.", "The Pico stool weighs 5.1 kg."], passages) == passages[1:]
    assert of_answers(["There is nothing like that."], passages) == []
