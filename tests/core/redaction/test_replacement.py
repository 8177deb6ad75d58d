import pytest

from core.errors import InvalidRequest
from core.redaction.entities import Entity, PIIType
from core.redaction.replacement import Pseudonyms, redacted


def people(text: str, *names: str) -> list[Entity]:
    return [Entity(PIIType.PERSON, at := text.index(name), at + len(name), 0.9) for name in names]


def test_redacting_puts_the_type_in_the_place() -> None:
    text = "Ana met Bo."
    assert redacted(text, people(text, "Ana", "Bo")) == ("<PERSON> met <PERSON>.", ["<PERSON>", "<PERSON>"])


def test_a_value_keeps_its_pseudonym_through_a_conversation_and_comes_back() -> None:
    pseudonyms = Pseudonyms()
    first, _ = pseudonyms.replace("Ana met Bo.", people("Ana met Bo.", "Ana", "Bo"))
    second, _ = pseudonyms.replace("Bo  likes ANA", people("Bo  likes ANA", "Bo", "ANA"))
    assert (first, second) == ("<PERSON_1> met <PERSON_2>.", "<PERSON_2>  likes <PERSON_1>")
    assert pseudonyms.restore("<PERSON_2> and <PERSON_1>, not <PERSON_3>") == "Bo and Ana, not <PERSON_3>"


def test_a_conversation_goes_on_from_its_mapping() -> None:
    earlier = Pseudonyms({"<PERSON_4>": "Ana"})
    text, _ = earlier.replace("Ana met Bo.", people("Ana met Bo.", "Ana", "Bo"))
    assert text == "<PERSON_4> met <PERSON_5>."
    assert earlier.mapping == {"<PERSON_4>": "Ana", "<PERSON_5>": "Bo"}


def test_a_pseudonym_that_the_text_holds_is_given_to_nobody() -> None:
    pseudonyms = Pseudonyms()
    text, _ = pseudonyms.replace("<PERSON_1> met Ana", people("<PERSON_1> met Ana", "Ana"))
    assert text == "<PERSON_1> met <PERSON_2>"
    assert pseudonyms.restore(text) == "<PERSON_1> met Ana"


def test_values_that_hold_pseudonyms_are_not_replaced_again() -> None:
    assert Pseudonyms({"<URL_1>": "<URL_2>", "<URL_2>": "secret"}).restore("<URL_1>") == "<URL_2>"


@pytest.mark.parametrize("key", ["PERSON_1", "<PERSON>", "<person_1>", "the", "<PERSON_1> "])
def test_a_mapping_of_anything_else_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequest, match="pseudonyms"):
        Pseudonyms({key: "x"})
