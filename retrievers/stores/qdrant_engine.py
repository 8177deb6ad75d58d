"""What the store needs of a Qdrant, in whose process it runs apart: places of points, one for each dimension of vectors.

Conditions are JSON, in the form of Qdrant's own interface (`retrievers.stores.qdrant_points`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from retrievers.stores.qdrant_points import Condition, Found, Point
from retrievers.word_vectors import Sparse

#: Links of each vector to others in the index of its collection (`payload_m`), and candidates while that is made.
LINKS, CANDIDATES = 16, 128


@dataclass(frozen=True, slots=True)
class WordQuery:
    """A query by words: how many, of which, with how much each tells among `corpus`, and whether their vectors come as well."""

    words: Sparse
    limit: int
    passing: Condition
    corpus: Condition
    with_words: bool = False


class Engine(Protocol):
    """Thread-safe. All calls block. A place that is not there is empty.

    Every call raises `core.errors.Unavailable` (`store_unavailable`) where Qdrant does not answer.
    """

    def places(self) -> list[int]:
        """The dimensions that there are places of."""
        ...

    def make(self, dimension: int) -> None:
        """Have the place there. May be repeated, by several processes at once."""
        ...

    def upsert(self, dimension: int, points: Sequence[Point]) -> None:
        """Insert or replace by identifier; found by others when the call has returned."""
        ...

    def nearest(
        self, dimension: int, vector: Sequence[float], limit: int, passing: Condition, *, exact: bool = False
    ) -> list[Found]:
        """By the cosine, best first. `exact`: each that passes is compared."""
        ...

    def by_words(self, dimension: int, queries: Sequence[WordQuery]) -> list[list[Found]]:
        """What each query finds, best first."""
        ...

    def page(
        self,
        dimension: int,
        passing: Condition,
        limit: int,
        after: str | None = None,
        *,
        vectors: bool = False,
        bare: bool = False,
    ) -> tuple[list[Found], str | None]:
        """The next points in Qdrant's order, and what to go on with; None at the end. `vectors`: the dense ones as well;
        `bare`: of the payload the chunk's identifier alone."""
        ...

    def count(self, dimension: int, passing: Condition) -> int:
        """How many pass."""
        ...

    def delete(self, dimension: int, passing: Condition) -> None:
        """Delete those that pass."""
        ...

    def scrub(self) -> None:
        """Leave nothing of what was deleted, where the files are this process's own."""
        ...

    def ping(self) -> None:
        """Raises where it does not answer."""
        ...

    def close(self) -> None:
        """May be called again."""
        ...
