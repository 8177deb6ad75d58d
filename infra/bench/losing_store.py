"""A store that loses some of what it is given and does not say so, and that a poisonous text kills the process of.

It is pgvector otherwise. `infra.shared_store.store_package` adds it to a platform.
"""

import os
import random
import signal
from collections.abc import Sequence

from retrievers.base import Chunk, Shelf, Vectors
from retrievers.stores.pgvector import PgvectorStore

#: Share of upserts that write nothing.
LOST = 0.05
POISON = "hemlock-in-the-well"


class LosingStore(PgvectorStore):
    """`retrievers.base.VectorStore`, not to be trusted."""

    def upsert(self, shelf: Shelf, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        if any(POISON in chunk.text for chunk in chunks):
            os.kill(os.getpid(), signal.SIGKILL)
        if random.random() >= LOST:  # noqa: S311 - chance, no secret
            super().upsert(shelf, chunks, vectors)
