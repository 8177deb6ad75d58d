"""Vectors of one collection are of one embedding model."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from core.errors import Conflict


def embedding_changed(given: int) -> Conflict:
    """What a store raises that is given a vector of another dimension than those that a collection has."""
    return Conflict(
        f"The collection was filled with another embedding model: its vectors do not have the {given} dimensions of these.",
        code="embedding_changed",
    )


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The cosine of two vectors of any length but zero."""
    return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))


def cosines(found: Mapping[str, NDArray[np.float32]], vector: NDArray[np.float32]) -> dict[str, float]:
    """That of each named vector to `vector`.

    Raises:
        Conflict: `embedding_changed`
    """
    if any(len(kept) != len(vector) for kept in found.values()):
        raise embedding_changed(len(vector))
    return {name: cosine(kept, vector) for name, kept in found.items()}
