"""Vectors of words, for when the embedding model does not answer: texts that share telling words are near to each other."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

#: What a word weighs that is not the question's: about as much as a rare one.
_OTHER = 3.0


def vectors_of_words(
    texts: Sequence[str], *, words: Callable[[str], Sequence[str]], weights: Mapping[str, float]
) -> NDArray[np.float32]:
    """(n, words) float32, L2-normalised; zero for a text without words. Comparable within one call alone.

    `weights` has the question's words with how much each tells (see `retrievers.lexical`).
    """
    split = [list(dict.fromkeys(words(text))) for text in texts]
    places = {word: place for place, word in enumerate(dict.fromkeys(word for text in split for word in text))}
    matrix = np.zeros((len(texts), max(1, len(places))), dtype=np.float32)
    for row, text in enumerate(split):
        for word in text:
            matrix[row, places[word]] = weights.get(word, _OTHER)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return (matrix / np.where(lengths > 0, lengths, 1)).astype(np.float32)
