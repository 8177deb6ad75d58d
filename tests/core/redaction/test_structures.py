import pytest

from core.redaction.analyser import Analyser
from core.redaction.entities import Entity, PIIType
from core.redaction.replacement import JSONPseudonyms
from core.redaction.streaming import StreamRestorer
from core.redaction.structures import Leaves, as_json


def by_type(one: Entity, _value: str) -> str:
    return f"<{one.type.value}>"


@pytest.fixture(scope="module")
def analyser() -> Analyser:
    return Analyser()


def redacted(analyser: Analyser, value: object) -> object:
    leaves = Leaves(value)
    return leaves.replaced(analyser.detect(leaves.text), by_type)


def test_values_are_found_by_the_names_that_stand_before_them(analyser: Analyser) -> None:
    value = {"customer": {"ssn": 536904399, "mails": ["a.b@example.org", "none"], "age": 41}, "ok": True, "note": None}
    made = redacted(analyser, value)
    assert made == {"customer": {"ssn": "<US_SSN>", "mails": ["<EMAIL_ADDRESS>", "none"], "age": 41}, "ok": True, "note": None}


def test_names_of_fields_lose_what_has_a_form_and_stay_otherwise(analyser: Analyser) -> None:
    assert redacted(analyser, {"a.b@example.org": 1, "Paris": 2}) == {"<EMAIL_ADDRESS>": 1, "Paris": 2}


def test_what_holds_nothing_is_the_same_object(analyser: Analyser) -> None:
    value = {"steps": [1, 2, {"deep": ["x"]}]}
    assert redacted(analyser, value) is value


def test_an_entity_over_two_values_takes_its_part_of_each() -> None:
    leaves = Leaves({"a": "one", "b": "two"})
    [start, end] = leaves.text.index("one"), leaves.text.index("two") + 3
    whole = Entity(PIIType.ADDRESS, start, end, 1.0)
    assert leaves.replaced([whole], by_type) == {"a": "<ADDRESS>", "b": "<ADDRESS>"}


@pytest.mark.parametrize(("text", "value"), [(' {"a": 1}', {"a": 1}), ("[1]", [1]), ("{not", None), ("3", None), ("", None)])
def test_only_objects_and_arrays_are_documents(text: str, value: object) -> None:
    assert as_json(text) == value


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_values_go_back_into_a_document_as_the_inside_of_a_string(size: int) -> None:
    pseudonyms = JSONPseudonyms({"<ADDRESS_1>": '5 "Main" Street\nBerlin', "<PERSON_1>": "Zoë \\ Ö"})
    text = '{"to": "\\u003cADDRESS_1\\u003E", "who": "<PERSON_1>", "other": "<PERSON_2> \\n"}'
    restorer = StreamRestorer(pseudonyms)
    said = "".join(restorer.feed(text[at : at + size]) for at in range(0, len(text), size)) + restorer.finish()
    value = {"to": '5 "Main" Street\nBerlin', "who": "Zoë \\ Ö", "other": "<PERSON_2> \n"}
    assert as_json(said) == value
