"""Pseudo-relevance feedback: the best passages of a first search are taken to be right, and searched for what they say.

The query's vector is moved towards theirs (Rocchio, in Salton, "The SMART Retrieval System", 1971), and the words that tell
them apart are searched for beside its own (as in RM3: Abdul-Jaleel et al., TREC 2004).
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from retrievers.base import Vectors

#: What the passages' mean vector weighs beside the query's.
VECTOR_WEIGHT = 0.6
#: A word of the query counts as this many of the words that are added.
OWN_WEIGHT = 8
_WORD = re.compile(r"\w+")
_LONGEST = 64


def moved(vector: NDArray[np.float32], vectors: Vectors, *, weight: float = VECTOR_WEIGHT) -> NDArray[np.float32]:
    """The query's vector, moved towards the mean of the passages' vectors; L2-normalised."""
    wanted = vector + weight * vectors.mean(axis=0)
    return np.asarray(wanted / max(float(np.linalg.norm(wanted)), 1e-12), dtype=np.float32)


def widened(
    query: str,
    texts: Sequence[str],
    terms: int,
    *,
    words: Callable[[str], list[str]],
    weights: Callable[[str], Mapping[str, float]],
) -> str:
    """The query with at most `terms` words of the texts behind it, as a query of words in which each counts as often as it
    stands there.

    `words` gives the words of a text as they are indexed, `weights` how much each of them tells.
    """
    counts: Counter[str] = Counter()
    spelt: dict[str, str] = {}
    for text in texts:
        found = Counter(_WORD.findall(text.lower()))
        length = max(sum(found.values()), 1)
        for word, times in found.items():
            indexed = words(word) if len(word) <= _LONGEST else []
            if len(indexed) == 1:
                spelt.setdefault(indexed[0], word)
                counts[indexed[0]] += times / length  # type: ignore[assignment]  # a share
    telling = weights(" ".join(spelt.values()))
    own = set(words(query))
    ranked = sorted(
        ((count * telling.get(word, 0.0), word) for word, count in counts.items() if word not in own),
        key=lambda pair: (-pair[0], pair[1]),
    )
    return " ".join([*[query] * OWN_WEIGHT, *(spelt[word] for _, word in ranked[:terms])])
