"""Keeps the word indexes of a process in line with the documents, whichever process has brought them in or deleted them.

Each collection numbers its changes (`retrievers.changes`), and each index notes the number that it has come to. What lies
between is read from the documents' rows, and their chunks from the lists in the file store: so an index that is behind catches
up, and one that is new is built, in the same way. What an index holds already is left alone.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.background import ended
from core.database import Database
from core.errors import DecryptionFailed, NotFound
from core.tables import Collection, CollectionUpkeep, DepartedDocument, Document, DocumentState
from core.threads import run_to_end
from retrievers import chunk_ledger
from retrievers.base import Chunk, Shelf
from retrievers.standing import Standing

if TYPE_CHECKING:
    from retrievers.library import Resources

log = structlog.get_logger()

#: Seconds between two looks for what others have changed: with the work of a change it is found everywhere within a second.
LOOK_S = 0.4
#: How long a search waits for an index that is behind.
WAIT_S = 1.0
#: Looks after which everything is looked at, also where nothing seems changed.
_ALL_EVERY = 150
#: Indexes that catch up in the background at once.
_AT_ONCE = 2
#: Documents that are read from the database at once, and characters of them that are written at once.
_ROWS, _CHARACTERS = 100, 4_000_000


class Following:
    """Belongs to the event loop of its database. `run` in one loop of a process; the others follow where they are asked."""

    def __init__(self, database: Database, resources: "Resources", *, wait_s: float = WAIT_S) -> None:
        self._database = database
        self._wait_s = wait_s
        self._resources = resources
        self._lexical = resources.lexical
        #: Indexes that are known to be behind.
        self.behind: set[Shelf] = set()
        self._tasks: dict[Shelf, asyncio.Task[None]] = {}
        self._turns: set[asyncio.Task[None]] = set()
        self._failed: set[Shelf] = set()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._seen: tuple[int, ...] | None = None
        self._looks, self._watched, self._failing = 0, False, False

    async def fresh(self, shelf: Shelf) -> bool:
        """Whether the index has every change of now, having waited for it up to `wait_s` seconds. Where no other process can
        have changed anything, and it is kept up to date, nothing is asked."""
        if not self._lexical.follows:
            return True
        if self._watched and not self._resources.shareable and shelf not in self.behind:
            return True
        async with self._database.session(shelf.tenant) as session:
            row = await session.get(CollectionUpkeep, shelf.collection_id)
        if row is None or self._lexical.last_standing(shelf).number == row.number:
            return True
        task = self._catching_up(shelf)
        await asyncio.wait([task], timeout=self._wait_s)
        return task.done() and not task.cancelled() and task.exception() is None

    async def run(self) -> None:
        """Look for changes until cancelled, and have the indexes here follow them."""
        try:
            while True:
                try:
                    await self._look()
                    self._watched, self._failing = True, False
                except (SQLAlchemyError, OSError) as error:
                    if not self._failing:
                        log.warning("words.not_followed", error=type(error).__name__)
                    self._failing = True
                await asyncio.sleep(LOOK_S)
        finally:
            self._watched = False
            await self.close()

    async def close(self) -> None:
        """Stop catching up."""
        await ended([*self._turns, *self._tasks.values()])

    async def compare(self, shelf: Shelf) -> Counter[str]:
        """Compare the index that is here with all documents, and put it right; how many chunks were `missing` and how many
        were `orphans`. Nothing where there is no index here."""
        async with self._database.session(shelf.tenant) as session:
            row = await session.get(CollectionUpkeep, shelf.collection_id)
        if row is None or shelf not in await asyncio.to_thread(self._lexical.shelves):
            return Counter()
        return await self._compare(shelf, Standing(row.number, row.comparison))

    async def catch_up(self, shelf: Shelf) -> None:
        """Bring the index to where the collection stands, making it where there is none; drop it where the collection is gone.

        Raises:
            Unavailable: the file store does not answer.
        """
        while True:
            async with self._database.session(shelf.tenant) as session:
                row = await session.get(CollectionUpkeep, shelf.collection_id)
                collection = await session.get(Collection, shelf.collection_id)
            if collection is None or collection.deleted_at is not None:
                await run_to_end(self._lexical.delete_collection, shelf)
                return
            stands = await asyncio.to_thread(self._lexical.standing, shelf)
            if row is None or (stands.number, stands.comparison) == (row.number, row.comparison):
                return
            now = Standing(row.number, row.comparison)
            if stands.number > now.number or stands.comparison > now.comparison:  # of a database that is another one now
                await run_to_end(self._lexical.delete_collection, shelf)
            elif stands.number < row.known_from or (stands.number and stands.comparison < now.comparison):
                await self._compare(shelf, now)
            elif stands.number == now.number:
                await run_to_end(self._lexical.note, shelf, now)
            else:
                await self._go_on(shelf, stands, now)

    def _catching_up(self, shelf: Shelf) -> "asyncio.Task[None]":
        """The one task of this loop that has the index catch up."""
        task = self._tasks.get(shelf)
        if task is None:
            task = self._tasks[shelf] = asyncio.create_task(self.catch_up(shelf))
            task.add_done_callback(lambda done: self._ended(shelf, done))
        return task

    def _ended(self, shelf: Shelf, task: "asyncio.Task[None]") -> None:
        self._tasks.pop(shelf, None)
        self.behind.discard(shelf)
        if task.cancelled() or (error := task.exception()) is None:
            self._failed.discard(shelf)
            return
        self._seen = None  # tried again by the next look
        if shelf not in self._failed:
            self._failed.add(shelf)
            log.warning("words.not_caught_up", collection_id=shelf.collection_id, exc_info=error)

    async def _in_turn(self, shelf: Shelf) -> None:
        async with self._slots:
            await asyncio.wait([self._catching_up(shelf)])

    def _begin(self, shelf: Shelf) -> None:
        self.behind.add(shelf)
        turn = asyncio.create_task(self._in_turn(shelf))
        self._turns.add(turn)
        turn.add_done_callback(self._turns.discard)

    async def _look(self) -> None:
        """Find out which indexes are behind, where anything has changed since the last look."""
        async with self._database.session(all_tenants=True) as session:
            sums = select(func.count(), func.sum(CollectionUpkeep.number), func.sum(CollectionUpkeep.comparison))
            seen = tuple(int(value or 0) for value in (await session.exec(sums.select_from(CollectionUpkeep))).one())
            self._looks += 1
            if seen == self._seen and self._looks % _ALL_EVERY:
                return
            rows = await session.exec(
                select(
                    CollectionUpkeep.tenant,
                    CollectionUpkeep.collection_id,
                    CollectionUpkeep.number,
                    CollectionUpkeep.comparison,
                ).where(CollectionUpkeep.collection_id == Collection.id, col(Collection.deleted_at).is_(None))
            )
            stand = {Shelf(tenant, name): Standing(number, comparison) for tenant, name, number, comparison in rows.all()}
        self._seen = seen
        behind = await asyncio.to_thread(self._behind, stand)
        for shelf in behind - self.behind:
            self._begin(shelf)

    def _behind(self, stand: dict[Shelf, Standing]) -> set[Shelf]:
        here = set(self._lexical.shelves())
        behind = here - stand.keys()
        for shelf, standing in stand.items():
            if (shelf in here or (self._lexical.makes and standing.number)) and self._lexical.standing(shelf) != standing:
                behind.add(shelf)
        return behind

    async def _go_on(self, shelf: Shelf, stands: Standing, now: Standing) -> None:
        """The next changes after where the index stands, some at a time."""
        after = (col(Document.change) > stands.number, col(Document.change) <= now.number)
        async with self._database.session(shelf.tenant) as session:
            query = select(Document).where(Document.collection_id == shelf.collection_id, *after)
            rows = list((await session.exec(query.order_by(col(Document.change)).limit(_ROWS))).all())
            upto = rows[-1].change if len(rows) == _ROWS else now.number
            gone = await self._departed(session, shelf, stands.number, upto)
        without: dict[str, int | None] = dict.fromkeys(gone)
        await self._bring(shelf, rows, without, Standing(upto, now.comparison))

    @staticmethod
    async def _departed(session: AsyncSession, shelf: Shelf, after: int, upto: int) -> Sequence[str]:
        query = select(DepartedDocument.document_id).where(
            DepartedDocument.collection_id == shelf.collection_id,
            DepartedDocument.number > after,
            DepartedDocument.number <= upto,
        )
        return (await session.exec(query)).all()

    async def _bring(
        self, shelf: Shelf, rows: Sequence[Document], without: dict[str, int | None], to: Standing | None
    ) -> Counter[str]:
        """Have the index hold what these rows say, and nothing of `without`; how many chunks that took."""
        counts: Counter[str] = Counter()
        chunks: list[Chunk] = []
        characters = 0
        for row in rows:
            held = await asyncio.to_thread(self._lexical.revisions, shelf, row.id)
            revision = row.indexed_revision
            if row.state == DocumentState.DELETING or not revision:
                without[row.id] = None
                continue
            if held.get(revision, 0) != row.chunks:
                brought = await self._chunks(row)
                if brought is not None:
                    chunks += brought
                    characters += row.characters
                    without[row.id] = revision
                    counts["missing"] += max(0, len(brought) - held.get(revision, 0))
            elif min(held, default=revision) < revision:
                without[row.id] = revision - 1
            counts["orphans"] += sum(number for of, number in held.items() if of < revision)
            if characters > _CHARACTERS:
                so_far = Standing(row.change, to.comparison) if to is not None else None
                await run_to_end(self._lexical.bring, shelf, chunks, without=without, to=so_far)
                chunks, without, characters = [], {}, 0
        if chunks or without:
            await run_to_end(self._lexical.bring, shelf, chunks, without=without, to=to)
        elif to is not None:
            await run_to_end(self._lexical.note, shelf, to)
        return counts

    async def _chunks(self, row: Document) -> list[Chunk] | None:
        """A document's chunks; None where its files are gone, since it was replaced or deleted, or lost: a reconciliation
        makes them anew."""
        try:
            return await chunk_ledger.listed(self._resources.files, row)
        except (NotFound, DecryptionFailed, ValueError) as error:
            log.info("words.no_chunks", document_id=row.id, error=getattr(error, "code", type(error).__name__))
            return None

    async def _compare(self, shelf: Shelf, now: Standing) -> Counter[str]:
        """The index has no more and no less than the documents, then it stands at `now`, which was read before."""
        held = await asyncio.to_thread(self._lexical.held, shelf)
        counts: Counter[str] = Counter()
        last = ""
        while True:
            query = select(Document).where(Document.collection_id == shelf.collection_id, Document.id > last)
            async with self._database.session(shelf.tenant) as session:
                rows = list((await session.exec(query.order_by(Document.id).limit(_ROWS))).all())
            if not rows:
                break
            last = rows[-1].id
            differing = []
            for row in rows:
                if row.state == DocumentState.DELETING:
                    continue
                has = {of: number for of, number in held.pop(row.id, {}).items() if of <= row.indexed_revision}
                if row.indexed_revision and has != {row.indexed_revision: row.chunks}:
                    differing.append(row)
            counts += await self._bring(shelf, differing, {}, None)
        if held:
            counts["orphans"] += sum(sum(revisions.values()) for revisions in held.values())
            await run_to_end(self._lexical.bring, shelf, [], without=dict.fromkeys(held))
        await run_to_end(self._lexical.note, shelf, now)
        log.info("words.compared", collection_id=shelf.collection_id, **counts)
        return counts
