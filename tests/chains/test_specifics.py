import re

import numpy as np
import pytest

from chains.specifics import Ground, number_of, numbers, specifics, spelt_numbers


def words(text: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[^\W_]+", text)]


def far(texts):
    """An embedding model to which no two texts are near."""
    return np.eye(len(texts), dtype=np.float32)


def same(texts):
    """An embedding model to which all texts mean the same."""
    return np.ones((len(texts), 1), dtype=np.float32)


def missing(question: str, text: str, embed=far) -> list[str]:
    return specifics(question, words=words).missing(Ground(text, words), embed=embed)


@pytest.mark.parametrize(
    ("token", "digits"),
    [("1,870", "1870"), ("21st", "21"), ("seven", "7"), ("twenty-three", "23"), ("03", "3"), ("3.11", "3.11"), ("pump", None)],
)
def test_a_number_is_the_same_however_it_is_written(token, digits):
    assert number_of(token) == digits


def test_a_number_is_not_found_inside_another():
    assert numbers("In 2022 there were twelve.") == {"2022", "12"}
    assert missing("How many were there in 20?", "In 2022 there were twelve.") == ["20"]


@pytest.mark.parametrize(
    ("question", "text", "lacks"),
    [
        ("When does the ferry to Malmö leave?", "The ferry to Osterholm leaves at six.", ["Malmö"]),
        ("What does the K60 hold?", "The K40 holds 2 litres.", ["K60"]),
        ("How do I set GENAI_PORT?", "Set GENAI_HOST, and the port.", ["GENAI_PORT"]),
        ("Who sells “red herring”?", "We sell herring.", ["red"]),
        ("When is the winter fair?", "The summer fair is in May.", ["winter"]),
        ("Who operates furnace number seven?", "Furnace number three is operated by seven men.", ["number 7"]),
        ("Who is Brandt's cook?", "Brandt is our cook.", []),
        ("Who was the first to fly?", "They came to fly.", []),
        ("What is the cost of DELIVERY?", "We deliver for 6 euros.", []),
    ],
)
def test_names_numbers_and_kinds_must_stand_in_the_text(question, text, lacks):
    assert missing(question, text, same) == lacks


def test_an_ordinary_word_may_stand_there_by_meaning_but_not_by_one_of_its_kind():
    assert missing("How heavy is the pump?", "The pump: mass 9 kg") == []  # it is asked of all things
    assert missing("Who mends the pump?", "The pump is repaired by Ann.") == ["mends"]
    assert missing("Who mends the pump?", "The pump is repaired by Ann.", same) == []
    assert missing("Who oils the chainsaw?", "The saw.", same) == ["chainsaw"]


def test_a_sentence_with_the_opposite_of_a_word_is_opposed_to_the_question():
    asked = specifics("How many masons died?", words=words)
    assert asked.opposed(Ground("140 masons lived in huts.", words))
    assert not asked.opposed(Ground("Of those who lived there, five masons died.", words))
    assert not asked.opposed(Ground("Five masons drowned.", words))


def test_what_precedes_a_question_need_not_be_answered():
    assert missing("I am busy: how long is the pump?", "The pump is 2 m long.") == []
    assert missing("Hello there, dear machine! Who made the pump?", "The pump was made by Ann.") == []


def test_a_german_question_is_about_its_nouns():
    text = "Die Kita ist von 7 Uhr an geöffnet. Die Käfergruppe betreut Jonas."
    assert missing("Wann öffnet die Kita?", text, same) == []
    assert missing("Wer betreut die Igelgruppe?", text, same) == ["Igelgruppe"]
    assert missing("Wie heißt der Hausmeister der Kita?", text, same) == ["Hausmeister"]


def test_capitals_tell_nothing_where_all_words_have_them():
    assert missing("WHO MENDS THE PUMP?", "The pump is repaired by Ann.", same) == []


def test_another_one_of_the_same_kind_is_not_what_is_asked_for():
    text = "The octopus nursery holds 57 tanks. The penguins live in the east wing, in plot 3. Plot 4 is empty."
    passage, sentences = Ground(text, words), [Ground(f"{one}.", words) for one in text.split(".")[:3]]

    def contradicted(question: str) -> list[bool]:
        return [specifics(question, words=words).contradicted(sentence, passage) for sentence in sentences]

    assert contradicted("How many tanks does the penguin nursery hold?") == [True, False, False]
    assert contradicted("How many tanks does the octopus nursery hold?") == [False, False, False]
    assert contradicted("Who lives in plot 3?") == [False, False, True]


def test_a_class_is_answered_by_its_member_and_a_measure_by_a_number():
    assert missing("What colour is the lamp?", "The lamp is green.") == []
    assert missing("What colour is the lamp?", "The lamp is old.") == ["colour"]
    assert missing("What is the length of the lamp?", "The lamp is 2 m long.") == []
    assert missing("What is the length of the lamp?", "The lamp is long.", far) == ["length"]


def test_numbers_are_read_in_the_language_of_a_text() -> None:
    assert spelt_numbers("L'entrée coûte douze euros.") == {"12"}
    assert spelt_numbers("Il biglietto costa 9 euro, la guida tre.") == {"9", "3"}
    assert spelt_numbers("It is seven miles.") == {"7"}
