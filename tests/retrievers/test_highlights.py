"""Words of a query in passages, by the word index's own analyser."""

import pytest

from core.settings import Settings
from retrievers.highlights import highlights
from retrievers.lexical import LexicalIndex


@pytest.mark.parametrize(
    ("query", "text", "marked"),
    [
        ("pressure sensors", "The sensor's pressure: SENSORS.", ["sensor", "pressure", "SENSORS"]),
        ("what is the and of", "What is the use of it?", []),
        ("Zürich", "In zurich and ZÜRICH.", ["zurich", "ZÜRICH"]),
        ("depth", "depth_m 😀 depth", ["depth", "depth"]),
        ("東京", "私は東京に住む", ["東京"]),
        ("zebra", "A lion.", []),
        ("", "A lion.", []),
    ],
    ids=["forms", "stop words", "accents", "joined", "unspaced", "none", "empty"],
)
def test_other_forms_of_a_word_are_marked_and_stop_words_are_not(
    settings: Settings, query: str, text: str, marked: list[str]
) -> None:
    words = LexicalIndex(settings).words
    found, nothing = highlights(query, [text, ""], words)
    assert [text[start:end] for start, end in found] == marked
    assert nothing == []
