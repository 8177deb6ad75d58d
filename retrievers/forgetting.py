"""Has the words of deleted chunks leave the files of this process's word indexes, soon and a little at a time."""

import asyncio
import time
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core.database import Database
from core.errors import PlatformError
from core.threads import run_to_end
from retrievers.base import Shelf
from retrievers.generations import Generations
from retrievers.lexical import LexicalIndex

if TYPE_CHECKING:
    from retrievers.library import Resources

log = structlog.get_logger()

#: Seconds between two looks, and between two times that an index is written anew; of a large one at least so many times as long
#: as that took, so that what changes all day costs little.
LOOK_S, REST_S, _TIMES = 5.0, 30.0, 20
#: Seconds until the next try, where the vector store does not have all of an index's chunks.
_UNFINISHED_S = 600.0
#: Chunks that are written anew at once: whoever writes meanwhile waits for them.
AT_ONCE = 1000


class Forgetting:
    """Belongs to the event loop of its database. `run` in one loop of a process."""

    def __init__(self, database: Database, resources: "Resources") -> None:
        self._resources, self._generations = resources, Generations(database, resources)
        self._rests: dict[Shelf, float] = {}
        self._failing = False

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
                self._failing = False
            except (SQLAlchemyError, OSError, PlatformError) as error:
                if not self._failing:
                    log.warning("words.not_forgotten", error=type(error).__name__)
                self._failing = True
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """One look at every index that is here."""
        lexical = self._resources.lexical
        if not isinstance(lexical, LexicalIndex):
            return
        for shelf in await asyncio.to_thread(lexical.shelves):
            if time.monotonic() < self._rests.get(shelf, 0.0) or not await asyncio.to_thread(lexical.remains, shelf):
                continue
            started = time.monotonic()
            finished = await self.forget(shelf)
            took = time.monotonic() - started
            rest = max(REST_S, _TIMES * took) if finished else _UNFINISHED_S
            self._rests[shelf] = time.monotonic() + rest

    async def forget(self, shelf: Shelf) -> bool:
        """Write anew what holds words of deleted chunks. False where some of them stay: the vector store, which chunks are read
        from, does not have all that the index has. A reconciliation puts that right.

        Raises:
            Unavailable: the vector store does not answer.
        """
        lexical = self._resources.lexical
        if not isinstance(lexical, LexicalIndex):
            return True
        generation = await self._generations.current(shelf)
        store, written = self._generations.store(generation), 0
        while left := await asyncio.to_thread(lexical.remains, shelf):
            some = await run_to_end(lexical.forget, shelf, lambda ids: store.get(generation.shelf, ids), AT_ONCE)
            if not some:
                break
            written += some
        told = log.info if not left else log.warning
        told("words.forgotten", collection_id=shelf.collection_id, written=written, left=left)
        return not left
