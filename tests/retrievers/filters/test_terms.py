import pytest

from retrievers.filters import term, terms, value_in
from tests.retrievers.filtering import NAMES, VALUES, chunks


def test_equal_values_have_one_term_and_others_another() -> None:
    assert term("n", 1) == term("n", 1.0) != term("n", True)
    assert term("n", "1") != term("n", 1)
    assert term("n", float(2**62)) == term("n", 2**62)
    assert term("n", 2**53 + 1) != term("n", float(2**53))


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_value_is_read_back_under_its_own_name_alone(name: str) -> None:
    for value in VALUES:
        written = term(name, value)
        assert value_in(written, name) == value
        for other in NAMES:
            if other != name and written.startswith(f"{other}="):
                assert value_in(written, other) is None


def test_a_chunk_has_a_term_for_each_of_its_values() -> None:
    chunk = chunks()[0]
    told = set(terms(chunk))
    assert {term(name, value) for name, value in chunk.attributes.items()} < told
    assert term("document", chunk.document) in told
