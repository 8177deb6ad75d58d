"""Fills a generation of a collection from the one that is active: what is there is copied, what changes meanwhile is brought
after it by the collection's numbered changes, and all of it is compared with the documents' rows before anybody searches it.

Everything may be repeated, and goes on where it was cut short. Nothing is locked, and no ingestion waits.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlmodel import col, select

from core.database import Database
from core.errors import Conflict, DecryptionFailed, NotFound
from core.tables import DepartedDocument, Document, DocumentState
from core.threads import run_to_end
from retrievers import chunk_ledger
from retrievers.base import Chunk, KeepsVectors, Vectors
from retrievers.generations import Generation
from retrievers.indexing import Indexer
from retrievers.reconciliation import Held

log = structlog.get_logger()

#: Chunks that are copied at once, or embedded, documents that are brought after them, and documents whose rows are compared.
_COPIED, _EMBEDDED, _BROUGHT, _COMPARED = 500, 128, 50, 200
#: Vectors that are compared, and the cosine from which two are the same: stores round, and models on other machines.
_SAMPLE, _SAME = 64, 0.995

#: Notes how far it has come; raises where the lease is lost.
Note = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Sample:
    """Some of the chunks that a generation holds, with their vectors."""

    chunks: list[Chunk]
    vectors: Vectors


class Filling:
    """Of `target` from `source`. Belongs to the event loop of its database."""

    def __init__(self, database: Database, indexer: Indexer, source: Generation, target: Generation, note: Note) -> None:
        self._database, self._indexer, self._note = database, indexer, note
        self._source, self._target = source, target
        self._from, self._to = indexer.generations.store(source), indexer.generations.store(target)
        self._collection = target.collection
        #: Whether vectors may be taken as they are.
        self._same_model = source.model == target.model

    async def copy(self, cursor: str) -> None:
        """Copy what the source holds behind `cursor` and documents' rows speak of, vectors and all where the model is the
        same. What is changed meanwhile is `follow`'s."""
        at_once = _COPIED if self._same_model else _EMBEDDED
        while True:
            chunks, vectors = await asyncio.to_thread(self._from.scan, self._source.shelf, cursor, at_once)
            wanted = await self._current(chunks)
            if wanted:
                some = [chunks[number] for number in wanted]
                matrix = vectors[wanted] if self._same_model else await self._indexer.embed(self._target, some)
                await self._indexer.put(self._target, some, matrix)
            if len(chunks) < at_once:
                await self._note(done=len(wanted), copied=True)
                return
            cursor = chunks[-1].id
            await self._note(done=len(wanted), cursor=cursor)

    async def follow(self, after: int, upto: int) -> None:
        """Bring the changes with the numbers above `after` up to `upto`, which the collection had when it was asked."""
        while after < upto:
            async with self._database.session(self._collection.tenant) as session:
                between = (col(Document.change) > after, col(Document.change) <= upto)
                query = select(Document).where(Document.collection_id == self._collection.collection_id, *between)
                rows = list((await session.exec(query.order_by(col(Document.change)).limit(_BROUGHT))).all())
                reached = rows[-1].change if len(rows) == _BROUGHT else upto
                departed = select(DepartedDocument.document_id).where(
                    DepartedDocument.collection_id == self._collection.collection_id,
                    DepartedDocument.number > after,
                    DepartedDocument.number <= reached,
                )
                gone = (await session.exec(departed)).all()
            for document_id in gone:
                await run_to_end(self._to.delete_document, self._target.shelf, document_id)
            for row in rows:
                await self._bring(row)
            after = reached
            await self._note(number=reached)

    async def verify(self, number: int) -> dict[str, int]:
        """Compare what the target holds with the documents that have not changed since `number`, and put right what differs;
        how many there were, how many were brought again, and how many vectors were compared.

        Raises:
            Conflict: `reindex_not_verified`: a document's chunks, or vectors, cannot be brought in line.
        """
        held, sample = await self._held()
        compared = again = 0
        last = ""
        while True:
            query = select(Document).where(Document.collection_id == self._collection.collection_id, Document.id > last)
            async with self._database.session(self._collection.tenant) as session:
                rows = (await session.exec(query.order_by(Document.id).limit(_COMPARED))).all()
            if not rows:
                break
            last = rows[-1].id
            for row in rows:
                chunks, digest = held.take(row.id, row.indexed_revision)
                if row.change > number or row.state == DocumentState.DELETING or not row.indexed_revision:
                    continue
                compared += 1
                if chunks == row.chunks and (digest == row.chunks_digest or not row.chunks_key):
                    continue
                again += 1
                await self._bring_again(row)
        orphans = held.rest()
        await self._drop_others(orphans, number)
        vectors = await self._compare(sample)
        log.info("generation.verified", collection_id=self._collection.collection_id, documents=compared, again=again)
        return {"documents": compared, "again": again, "orphans": sum(orphans.values()), "vectors": vectors}

    async def _current(self, chunks: Sequence[Chunk]) -> list[int]:
        """The places of those whose document is there in the revision that they are of."""
        ids = sorted({chunk.document_id for chunk in chunks})
        async with self._database.session(self._collection.tenant) as session:
            rows = await session.exec(
                select(Document.id, Document.indexed_revision).where(
                    Document.collection_id == self._collection.collection_id,
                    Document.state != DocumentState.DELETING.value,
                    col(Document.id).in_(ids),
                )
            )
            revisions = dict(rows.all())
        return [number for number, chunk in enumerate(chunks) if revisions.get(chunk.document_id) == chunk.revision]

    async def _bring(self, row: Document) -> bool:
        """Have the target hold what the row says, and no more. False where the list of its chunks is gone: it was replaced or
        deleted since, which is a later change, or it is lost."""
        shelf = self._target.shelf
        if row.state == DocumentState.DELETING or not row.indexed_revision:
            await run_to_end(self._to.delete_document, shelf, row.id)
            return True
        await run_to_end(self._to.delete_document, shelf, row.id, keep_revision=row.indexed_revision)
        try:
            chunks = await chunk_ledger.listed(self._indexer.resources.files, row)
        except (NotFound, DecryptionFailed, ValueError) as error:
            log.info("generation.no_chunks", document_id=row.id, error=getattr(error, "code", type(error).__name__))
            return False
        for first in range(0, len(chunks), _COPIED):
            some = chunks[first : first + _COPIED]
            there = {chunk.id for chunk in await asyncio.to_thread(self._to.get, shelf, [chunk.id for chunk in some])}
            missing = [chunk for chunk in some if chunk.id not in there]
            if missing:
                await self._indexer.put(self._target, missing, await self._vectors(missing))
        return True

    async def _bring_again(self, row: Document) -> None:
        shelf = self._target.shelf
        brought = await self._bring(row)
        if brought and await asyncio.to_thread(self._to.count, shelf, row.id) != row.chunks:
            await run_to_end(self._to.delete_document, shelf, row.id)  # more than its list has, of the same revision
            brought = await self._bring(row)
        if not brought or await asyncio.to_thread(self._to.count, shelf, row.id) != row.chunks:
            async with self._database.session(self._collection.tenant) as session:
                now = await session.get(Document, row.id)
            if now is None or now.change != row.change:
                return  # it has changed since, and is brought by that
            raise Conflict(
                f"The chunks of the document {row.id} are not whole where they are: reconcile the collection, then move it.",
                code="reindex_not_verified",
            )

    async def _drop_others(self, rest: dict[str, int], number: int) -> None:
        """Delete what no row speaks of: of documents that are gone, and of other revisions."""
        ids = sorted(rest)
        for first in range(0, len(ids), _COMPARED):
            some = ids[first : first + _COMPARED]
            query = select(Document).where(Document.collection_id == self._collection.collection_id, col(Document.id).in_(some))
            async with self._database.session(self._collection.tenant) as session:
                rows = {row.id: row for row in (await session.exec(query)).all()}
            for document_id in some:
                row = rows.get(document_id)
                if row is None or row.change <= number:
                    kept = row.indexed_revision if row is not None and row.state != DocumentState.DELETING else 0
                    delete = self._to.delete_document
                    await run_to_end(delete, self._target.shelf, document_id, keep_revision=kept or None)

    async def _vectors(self, chunks: Sequence[Chunk]) -> Vectors:
        """The source's where the model is the same and it gives them, else embedded."""
        known: dict[str, NDArray[np.float32]] = {}
        if self._same_model and isinstance(self._from, KeepsVectors):
            ids = [chunk.id for chunk in chunks]
            known.update(await asyncio.to_thread(self._from.vectors, self._source.shelf, ids))
        missing = [chunk for chunk in chunks if chunk.id not in known]
        if missing:
            made = await self._indexer.embed(self._target, missing)
            known |= {chunk.id: vector for chunk, vector in zip(missing, made, strict=True)}
        return np.stack([known[chunk.id] for chunk in chunks]).astype(np.float32)

    async def _held(self) -> tuple[Held, Sample]:
        """What the target holds, read through, and every so many of it."""
        held, after = Held(), ""
        chunks: list[Chunk] = []
        vectors: list[Any] = []
        every = max(1, await asyncio.to_thread(self._to.count, self._target.shelf) // _SAMPLE)
        seen = 0
        while True:
            page, matrix = await asyncio.to_thread(self._to.scan, self._target.shelf, after, _COPIED)
            for number, chunk in enumerate(page):
                held.add(chunk.document_id, chunk.revision, chunk.id)
                if seen % every == 0 and len(chunks) < _SAMPLE:
                    chunks.append(chunk)
                    vectors.append(matrix[number])
                seen += 1
            if len(page) < _COPIED:
                return held, Sample(chunks, np.asarray(vectors, dtype=np.float32))
            after = page[-1].id

    async def _compare(self, sample: Sample) -> int:
        """How many vectors were compared: with the source's where the model is the same, else with what it gives now."""
        if not sample.chunks:
            return 0
        if self._same_model:
            likeness = await asyncio.to_thread(self._likeness, sample)
        else:
            made = await self._indexer.embed(self._target, sample.chunks)
            likeness = [_cosine(one, other) for one, other in zip(made, sample.vectors, strict=True)]
        if any(cosine < _SAME for cosine in likeness):
            raise Conflict("Vectors are not what they were where they were copied from.", code="reindex_not_verified")
        return len(likeness)

    def _likeness(self, sample: Sample) -> list[float]:
        found: list[float] = []
        for chunk, vector in zip(sample.chunks, sample.vectors, strict=True):
            found += self._from.similarities(self._source.shelf, vector, [chunk.id]).values()
        return found


def _cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / max(lengths, 1e-12)
