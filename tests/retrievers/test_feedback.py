import numpy as np
import pytest

from retrievers.feedback import OWN_WEIGHT, moved, widened


def words(text: str) -> list[str]:
    return [word.lower().rstrip("s") for word in text.split() if word.lower() not in ("the", "of")]


def weights(text: str) -> dict[str, float]:
    return {word: 0.0 if word == "common" else 1.0 for word in words(text)}


def test_the_query_moves_towards_what_was_found():
    query, found = np.array([1, 0], dtype=np.float32), np.array([[0, 1], [0, 1]], dtype=np.float32)
    new = moved(query, found)
    assert np.linalg.norm(new) == pytest.approx(1)
    assert 0 < new[1] < new[0]


def test_telling_words_of_the_passages_are_searched_for_beside_the_querys():
    texts = ["the pumps of water common common", "water pressure common"]
    asked = widened("pump failure", texts, 2, words=words, weights=weights).split()
    assert asked == ["pump", "failure"] * OWN_WEIGHT + ["water", "pressure"]


def test_without_words_the_query_stays_what_it_is():
    assert set(widened("pump", ["water"], 0, words=words, weights=weights).split()) == {"pump"}
    assert set(widened("pump", [], 5, words=words, weights=weights).split()) == {"pump"}
