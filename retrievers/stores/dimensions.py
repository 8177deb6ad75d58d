"""Vectors of one collection are of one embedding model."""

from core.errors import Conflict


def embedding_changed(given: int) -> Conflict:
    """What a store raises that is given a vector of another dimension than those that a collection has."""
    return Conflict(
        f"The collection was filled with another embedding model: its vectors do not have the {given} dimensions of these.",
        code="embedding_changed",
    )
