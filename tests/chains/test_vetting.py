from typing import Any

import numpy as np
import pytest

from chains.grounding import gather
from retrievers.base import Chunk, Passage
from tests.chains.test_grounding import words

MINUTES = """# Minutes

## Finances

Heating cost €840 in the winter.

## New boat

Lena presented two offers: the Swift at €14,200 and the Heron at €15,900. Karim is asked to sell the trailer.

## Hire

Name: Skiff | Weight: 14 kg
Name: Canoe | Weight: 21 kg
"""


def near(texts):
    """An embedding model to which all sentences are near, and no word is to another one."""
    vectors = np.eye(len(texts), 256, dtype=np.float32)
    vectors[[" " in text for text in texts]] = np.eye(1, 256, dtype=np.float32)
    return vectors


def quoted(about: str, *, topic: tuple[str, ...], **carried: Any) -> list[str]:
    passage = Passage(Chunk("c1", "d1", "a.md", 1, MINUTES, 0, len(MINUTES), None, "Minutes"), 1.0)
    question = f"{topic[0]}: {about}"
    weights = dict.fromkeys(words(question), 1.0)
    found = gather(question, [passage], embed=near, weights=weights, words=words, about=about, topic=topic, **carried)
    return [quote.text for quote in found.quotes]


def test_what_was_spoken_of_stands_by_the_answer_and_not_somewhere_in_its_passage() -> None:
    assert quoted("What did it cost?", topic=("boat",)) == [
        "Lena presented two offers: the Swift at €14,200 and the Heron at €15,900."
    ]


def test_a_row_is_of_what_it_names_itself_whatever_the_rows_beside_it_are_of() -> None:
    assert quoted("How heavy is it?", topic=("canoe",)) == ["Name: Canoe | Weight: 21 kg"]


@pytest.mark.parametrize(("inside", "found"), [(False, True), (True, False)])
def test_something_new_is_in_the_sentence_or_its_headings_where_it_has_to_be(inside: bool, found: bool) -> None:
    said = quoted("What about the trailer?", topic=("boat",), new="the trailer", inside=inside)
    assert any("offers" in text for text in said) is found
