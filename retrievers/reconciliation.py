"""Compares what the stores hold of a collection with what its documents say, and puts right what a store has silently lost.

The vector store is read through once, and all that is kept of it is how many chunks it has of each document's revision, and a
digest of their identifiers. A document where these differ from its row is looked at again, under a lease, chunk by chunk:
so what is changing meanwhile is no mistake, and nothing is touched that an ingestion works on.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress

import structlog
from sqlmodel import col, select

from core.database import Database
from core.errors import DecryptionFailed, NotFound, UnreadableFile
from core.tables import Document
from core.threads import run_to_end
from retrievers import chunk_ledger
from retrievers.base import Chunk
from retrievers.generations import Generation, GenerationChanged
from retrievers.indexing import Indexer
from retrievers.leases import SETTLED, Lease, Leases

log = structlog.get_logger()

#: Chunks that the store is asked for at once, and documents the database.
_CHUNKS, _DOCUMENTS = 1000, 200
_IDS = 256
_COUNT_BITS = 64


class Held:
    """What the store holds: of each document's revision how many chunks, and the digest of their identifiers. Some 200 bytes
    for each."""

    def __init__(self) -> None:
        #: By `document:revision`, the count above the digest's 64 bits.
        self._held: dict[str, int] = {}

    def add(self, document_id: str, revision: int, chunk_id: str) -> None:
        key = f"{document_id}:{revision}"
        packed = self._held.get(key, 0)
        folded = chunk_ledger.fold([chunk_id], packed & ((1 << _COUNT_BITS) - 1))
        self._held[key] = (((packed >> _COUNT_BITS) + 1) << _COUNT_BITS) | folded

    def take(self, document_id: str, revision: int) -> tuple[int, str]:
        """The count and the digest, which are told once."""
        packed = self._held.pop(f"{document_id}:{revision}", 0)
        return packed >> _COUNT_BITS, f"{packed & ((1 << _COUNT_BITS) - 1):016x}"

    def rest(self) -> dict[str, int]:
        """How many chunks of each document have not been told of."""
        rest: Counter[str] = Counter()
        for key, packed in self._held.items():
            rest[key.rpartition(":")[0]] += packed >> _COUNT_BITS
        return dict(rest)


class Reconciliation:
    """Of one collection, in its active generation. Belongs to the event loop of its database. Everything may be repeated.

    `counts` tells what was found so far: `documents` and `chunks` as their rows have them, chunks that were `missing` and are
    there again, `orphans` that no document has and that were deleted, documents whose list of chunks was `relisted`, and such
    as were left alone: `busy` (being read, or deleted), `unrepaired` (to be given anew).
    """

    def __init__(self, database: Database, indexer: Indexer, leases: Leases, generation: Generation) -> None:
        self._database, self._indexer, self._leases, self._generation = database, indexer, leases, generation
        self._shelf, self._collection = generation.shelf, generation.collection
        self._store = indexer.generations.store(generation)
        self._pipeline = indexer.pipeline_fingerprint(generation)
        self.counts: Counter[str] = Counter(
            dict.fromkeys(("documents", "chunks", "missing", "orphans", "relisted", "busy", "unrepaired"), 0)
        )
        #: Of documents that have to be given anew, `{document, document_id, code, message}`.
        self.errors: list[dict[str, str]] = []

    async def held(self) -> Held:
        """Read the store through."""
        held, after = Held(), ""
        while True:
            page, _ = await asyncio.to_thread(self._store.scan, self._shelf, after, _CHUNKS)
            for chunk in page:
                held.add(chunk.document_id, chunk.revision, chunk.id)
            if len(page) < _CHUNKS:
                return held
            after = page[-1].id

    async def suspects(self, held: Held) -> AsyncIterator[tuple[int, list[str]]]:
        """How many documents were looked at, and the identifiers of those that the store does not hold as their rows say."""
        last = ""
        while True:
            query = select(Document).where(Document.collection_id == self._collection.collection_id, Document.id > last)
            async with self._database.session(self._collection.tenant) as session:
                rows = (await session.exec(query.order_by(Document.id).limit(_DOCUMENTS))).all()
            if not rows:
                return
            last = rows[-1].id
            found = []
            for row in rows:
                self.counts["documents"] += 1
                if not row.indexed_revision:
                    continue
                self.counts["chunks"] += row.chunks
                number, digest = held.take(row.id, row.indexed_revision)
                if number != row.chunks or digest != row.chunks_digest or not row.chunks_key:
                    found.append(row.id)
            yield len(rows), found

    async def others(self, held: Held) -> list[str]:
        """Documents of which the store has chunks that their rows do not speak of, other revisions. What is of no document at
        all, or of one that was deleted, is deleted here."""
        rest = held.rest()
        left = []
        ids = sorted(rest)
        for first in range(0, len(ids), _DOCUMENTS):
            some = ids[first : first + _DOCUMENTS]
            mine = (Document.collection_id == self._collection.collection_id, col(Document.id).in_(some))
            async with self._database.session(self._shelf.tenant) as session:
                states = dict((await session.exec(select(Document.id, Document.state).where(*mine))).all())
            for document_id in some:
                if document_id not in states:
                    await run_to_end(self._store.delete_document, self._shelf, document_id)
                    self.counts["orphans"] += rest[document_id]
                elif states[document_id] in SETTLED:
                    left.append(document_id)
        return left

    async def repair(self, lease: Lease) -> None:
        """Have the store hold what the document that `lease` is on says, no less and no more.

        Raises:
            Unavailable, ProviderFailed: the store, the files or the embedding model does not answer.
            GenerationChanged: the collection was moved meanwhile: what was begun is to be begun again, with the other.
        """
        await self.check_active()
        await self._put_right(lease)
        try:
            await self.check_active()
        except GenerationChanged:
            document = lease.document
            await self._indexer.withdraw(self._generation, document.id, keep_revision=document.indexed_revision)
            raise

    async def check_active(self) -> None:
        """Raises GenerationChanged where questions are answered from another generation by now."""
        now = await self._indexer.generations.current(self._collection)
        if (now.store, now.shelf) != (self._generation.store, self._shelf):
            raise GenerationChanged

    async def _put_right(self, lease: Lease) -> None:
        document, store = lease.document, self._store
        chunks = await self._chunks(lease)
        if chunks is None:
            self._unrepaired(document)
            return
        before = await asyncio.to_thread(store.count, self._shelf, document.id)
        await self._indexer.retire(document)
        kept = await asyncio.to_thread(store.count, self._shelf, document.id)
        self.counts["orphans"] += before - kept
        missing = await self._missing(chunks)
        beside = kept - (len(chunks) - len(missing))  # of the same revision, but not in its list: which ones is not known
        if (missing or beside) and document.pipeline != self._pipeline:
            self._unrepaired(document)
            return
        if beside:
            await run_to_end(store.delete_document, self._shelf, document.id)
        await self._indexer.store(self._generation, chunks if beside else missing)
        self.counts["missing"] += len(missing)
        self.counts["orphans"] += beside
        if missing or before - kept + beside:
            told = {"missing": len(missing), "orphans": before - kept + beside}
            log.warning("store.repaired", document_id=document.id, **told)

    async def _missing(self, chunks: list[Chunk]) -> list[Chunk]:
        missing: list[Chunk] = []
        for first in range(0, len(chunks), _IDS):
            some = chunks[first : first + _IDS]
            found = await asyncio.to_thread(self._store.get, self._shelf, [chunk.id for chunk in some])
            there = {chunk.id for chunk in found}
            missing += [chunk for chunk in some if chunk.id not in there]
        return missing

    async def _chunks(self, lease: Lease) -> list[Chunk] | None:
        """The chunks of a document: by their list, else from the original, if that would give the same now. None otherwise."""
        document = lease.document
        with suppress(NotFound, DecryptionFailed, ValueError):
            return await chunk_ledger.listed(self._indexer.resources.files, document)
        if document.revision != document.indexed_revision or document.pipeline != self._pipeline:
            return None
        try:
            indexed, chunks = await self._indexer.read(document, document.indexed_revision, self._generation)
        except (NotFound, DecryptionFailed, UnreadableFile):
            return None
        await self._leases.relist(lease, indexed)
        self.counts["relisted"] += 1
        return chunks

    def _unrepaired(self, document: Document) -> None:
        self.counts["unrepaired"] += 1
        message = "Chunks are missing that cannot be made again: add the document again."
        self.errors.append({"document": document.name, "document_id": document.id, "code": "not_repaired", "message": message})
        log.warning("store.not_repaired", document_id=document.id)

    def skip(self, document_id: str) -> None:
        """It is being read or deleted: what works on it puts it right."""
        self.counts["busy"] += 1
        log.debug("store.busy", document_id=document_id)
