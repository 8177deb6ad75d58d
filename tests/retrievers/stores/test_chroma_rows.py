from typing import Any

import pytest
from chromadb.errors import InternalError

from retrievers.stores.chroma_rows import read_with_vectors

GONE = "Error executing plan: Internal error: Error finding id"


class Busy:
    """A collection that fails so many times."""

    def __init__(self, times: int, message: str = GONE) -> None:
        self.times, self.message = times, message
        self.asked: list[dict[str, Any]] = []

    def get(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        if len(self.asked) <= self.times:
            raise InternalError(self.message)
        return {"ids": asked["ids"]}


def test_rows_are_read_again_of_which_one_was_deleted_meanwhile() -> None:
    collection = Busy(2)
    assert read_with_vectors(collection, ["a", "b", "a"], "metadatas") == {"ids": ["a", "b"]}
    assert collection.asked == [{"ids": ["a", "b"], "include": ["embeddings", "metadatas"]}] * 3


@pytest.mark.parametrize(
    ("collection", "asked"), [(Busy(99), 5), (Busy(1, "disk I/O error"), 1)], ids=["always", "another error"]
)
def test_what_is_wrong_otherwise_is_told(collection: Busy, asked: int) -> None:
    with pytest.raises(InternalError):
        read_with_vectors(collection, ["a"])
    assert len(collection.asked) == asked
