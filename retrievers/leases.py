"""Who works on which document: a lease is taken before the work, kept alive during it, and given back with its outcome.

Every try is counted in the same transaction that takes the lease, before the work, so that a document that kills its worker
is parked after some tries. A holder whose lease was lost can change nothing any more: every write asks for its own lease.
Locks are taken in one order everywhere: documents by name, then jobs by id, then a collection's number of changes.
"""

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import and_, col, func, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import jobs
from core.database import Database, utc_now
from core.tables import Document, DocumentState, JobState, Source
from retrievers.changes import note_change
from retrievers.generations import GenerationChanged, is_active
from retrievers.in_work import InWork
from retrievers.indexing import IndexedDocument
from retrievers.turns import Turns, may_begin

PENDING = (DocumentState.QUEUED.value, DocumentState.PROCESSING.value)
SETTLED = (DocumentState.READY.value, DocumentState.FAILED.value)
#: What is said of a document whose worker died; another try may end well.
INTERRUPTED, ENDED = "interrupted", "The worker was ended each time that it worked on this document."
#: How often another worker may be quicker before this one leaves it to them.
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on `document`, a row detached from any session, in its `revision`.

    `spent`: it has had its tries without an end, and is to be failed, with the row's error where an earlier try left one.
    `alone`: a worker has died of it, or beside it.
    """

    id: str
    document: Document
    spent: bool = False
    alone: bool = False


class _ToBeAlone(Exception):
    """The document may not be worked on beside others."""


class Leases:
    """Takes and gives back leases. Belongs to the event loop of its database."""

    def __init__(self, database: Database, *, lease_s: float, max_attempts: int) -> None:
        self._database = database
        self._lease_s = lease_s
        self._max_attempts = max_attempts
        self._turns, self._choosing = Turns(), asyncio.Lock()
        self._working = InWork()
        #: Whether the last choice waits for one that is worked on alone, or is to be.
        self.waits = False

    @property
    def in_work(self) -> Mapping[str, int]:
        """Tenants, and how many documents of each are worked on here."""
        return self._working.tenants

    def working_on(self, lease: Lease) -> AbstractContextManager[None]:
        """Count the lease's document among those `in_work` for the block."""
        return self._working.counted(lease.document.tenant, alone=lease.alone)

    async def take_next(self, *, without: Set[str] = frozenset()) -> Lease | None:
        """A lease on the document whose turn it is (see `turns`), `without` these tenants; None where none waits, or (`waits`)
        where one is to be worked on alone: whose worker died before, so that, if it is what kills them, it takes no other with
        it."""
        async with self._choosing:
            self.waits = self._working.alone
            for _ in range(0 if self.waits else _TRIES):
                async with self._database.session(all_tenants=True) as session:
                    chosen = await self._turns.first(session, without)
                if chosen is None:
                    return None
                try:
                    lease = await self.take(*chosen, beside=bool(self.in_work))
                except _ToBeAlone:
                    self.waits = True
                    return None
                if lease is not None:
                    return lease
        return None

    async def take(self, document_id: str, revision: int, *, beside: bool = False) -> Lease | None:
        """A lease, its try counted; None where there is nothing to do: another holder works on it, or the revision is done
        or replaced. `beside`: it would be worked on beside others."""
        async with self._database.transaction(all_tenants=True) as session:
            document = await lock_document(session, document_id)
            now = utc_now()
            if (
                document is None
                or document.revision != revision
                or document.state not in PENDING
                or (document.leased_until is not None and document.leased_until > now)
            ):
                return None
            spent = document.attempts >= self._max_attempts
            alone = document.error_code == INTERRUPTED and not spent
            if alone and beside:
                raise _ToBeAlone
            lease = Lease(secrets.token_hex(8), document, spent=spent, alone=alone)
            document.lease = lease.id
            document.leased_until = now + timedelta(seconds=self._lease_s)
            document.attempts += 0 if lease.spent else 1
            document.state = DocumentState.PROCESSING
            if document.job_id:
                await jobs.begin(session, document.job_id)
        return lease

    async def renew(self, lease: Lease) -> bool:
        """A sign of life. False when the work is of no use any more: lease lost, document replaced, cancelled or deleted."""
        async with self._database.transaction(lease.document.tenant) as session:
            renewed = await session.exec(
                update(Document)
                .where(
                    col(Document.id) == lease.document.id,
                    col(Document.lease) == lease.id,
                    col(Document.revision) == lease.document.revision,
                    col(Document.state) == DocumentState.PROCESSING,
                )
                .values(leased_until=utc_now() + timedelta(seconds=self._lease_s))
            )
        return renewed.rowcount == 1

    async def finish(self, lease: Lease, indexed: IndexedDocument, pipeline: str) -> Document | None:
        """The stores hold the revision: the document is ready, in the transaction that counts it. The lease stays until
        what it replaces has been cleaned up. None when lease or revision were lost meanwhile; then nothing has changed.

        Raises:
            GenerationChanged: what `indexed` is in is not what questions are answered from any more; nothing has changed.
        """
        async with self._database.transaction(lease.document.tenant) as session:
            document = await self.held(session, lease)
            if document is None:
                return None
            document.media_type = indexed.media_type
            document.pages = indexed.pages
            document.characters = indexed.characters
            document.chunks = indexed.chunks
            document.text_key = indexed.text_key
            document.chunks_key, document.chunks_digest = indexed.chunks_key, indexed.chunks_digest
            document.pipeline = pipeline
            document.indexed_revision = document.revision
            await make_ready(session, document)
            await note_change(session, document)
            if not await is_active(session, document.collection_id, indexed.generation.id if indexed.generation else ""):
                raise GenerationChanged
        return document

    async def hold(self, document_id: str) -> Lease | None:
        """A lease on a document that is searchable and that nobody works on or waits to, so that its stores can be put right;
        None for another. To be renewed by `renew_held`, and let go as that of a try."""
        async with self._database.transaction(all_tenants=True) as session:
            document = await lock_document(session, document_id)
            now = utc_now()
            if (
                document is None
                or document.state not in SETTLED
                or not document.indexed_revision
                or document.lease is not None
                or (document.leased_until is not None and document.leased_until > now)
            ):
                return None
            lease = Lease(secrets.token_hex(8), document)
            document.lease, document.leased_until = lease.id, now + timedelta(seconds=self._lease_s)
        return lease

    async def renew_held(self, lease: Lease) -> bool:
        """A sign of life of who `hold`s a document. False once it is another's, deleted, or new content waits."""
        document = lease.document
        async with self._database.transaction(document.tenant) as session:
            renewed = await session.exec(
                update(Document)
                .where(
                    col(Document.id) == document.id,
                    col(Document.lease) == lease.id,
                    col(Document.indexed_revision) == document.indexed_revision,
                    col(Document.state).in_(SETTLED),
                )
                .values(leased_until=utc_now() + timedelta(seconds=self._lease_s))
            )
        return renewed.rowcount == 1

    async def relist(self, lease: Lease, indexed: IndexedDocument) -> bool:
        """The list of the chunks of a document that is held has been made anew. False where the lease was lost meanwhile."""
        async with self._database.transaction(lease.document.tenant) as session:
            document = await lock_document(session, lease.document.id)
            if document is None or document.lease != lease.id or document.state not in SETTLED:
                return False
            document.text_key, document.chunks = indexed.text_key, indexed.chunks
            document.chunks_key, document.chunks_digest = indexed.chunks_key, indexed.chunks_digest
            await note_change(session, document)
        return True

    async def finish_unchanged(self, lease: Lease) -> bool:
        """What was fetched is what the stores hold already. False as with `finish`."""
        async with self._database.transaction(lease.document.tenant) as session:
            document = await self.held(session, lease)
            if document is not None:
                await make_ready(session, document, skipped=1)
        return document is not None

    async def fetched(self, lease: Lease, *, file_key: str, content_hash: str, size: int) -> bool:
        """The content of a URL has been stored. False as with `finish`."""
        async with self._database.transaction(lease.document.tenant) as session:
            document = await self.held(session, lease)
            if document is not None:
                _hold(document, file_key, content_hash, size)
        if document is not None:
            _hold(lease.document, file_key, content_hash, size)
        return document is not None

    async def fail(self, lease: Lease, code: str, message: str) -> bool:
        """The document cannot be read, and trying again would not help. What was there before it stays searchable."""
        async with self._database.transaction(lease.document.tenant) as session:
            document = await self.held(session, lease)
            if document is not None:
                await make_failed(session, document, code, message)
        return document is not None

    async def retry(self, lease: Lease, code: str, message: str, *, delay_s: float) -> bool:
        """This try has failed; the next may begin after `delay_s`. Fails for good where it was the last one. True when a
        message has to be sent for the next."""
        async with self._database.transaction(lease.document.tenant) as session:
            document = await self.held(session, lease)
            if document is None:
                return False
            if document.attempts >= self._max_attempts:
                await make_failed(session, document, code, message)
                return False
            document.error_code, document.error_message = code, message
            document.state = DocumentState.QUEUED
            document.lease, document.leased_until = None, utc_now() + timedelta(seconds=delay_s)
        return True

    async def current(self, lease: Lease) -> Document | None:
        """The row as it is now, None when it is gone or another holder has it."""
        async with self._database.session(lease.document.tenant) as session:
            document = await session.get(Document, lease.document.id)
        return document if document is not None and document.lease == lease.id else None

    async def release(self, lease: Lease) -> Document | None:
        """Give the lease back, when all is cleaned up. A try that has come to no end, because the worker stops, does not
        count. The row as it is now; None when it is gone or another holder has it."""
        async with self._database.transaction(lease.document.tenant) as session:
            document = await lock_document(session, lease.document.id)
            if document is None or document.lease != lease.id:
                return None
            document.lease, document.leased_until = None, None
            if document.state == DocumentState.PROCESSING:
                document.state = DocumentState.QUEUED
                if document.revision == lease.document.revision:
                    document.attempts -= 1
        return document

    async def expire(self, *, all_of_them: bool = False) -> int:
        """Put back into the queue what dead workers hold, and say of it that it was interrupted. `all_of_them` where no other
        worker can be alive."""
        now = utc_now()
        over = [col(Document.state) == DocumentState.PROCESSING]
        if not all_of_them:
            over.append(or_(col(Document.leased_until).is_(None), col(Document.leased_until) < now))
        async with self._database.transaction(all_tenants=True) as session:
            expired = await session.exec(
                update(Document)
                .where(*over)
                .values(state=DocumentState.QUEUED, lease=None, leased_until=None, error_code=INTERRUPTED, error_message=ENDED)
            )
            if all_of_them:  # on what was replaced, cancelled or deleted while it was worked on
                await session.exec(update(Document).where(col(Document.lease).is_not(None)).values(leased_until=now))
        return int(expired.rowcount)

    async def abandoned(self, limit: int) -> list[Document]:
        """Documents whose holder died between the end of its work and its cleaning up, and deleted ones that are left over."""
        async with self._database.session(all_tenants=True) as session:
            rows = await session.exec(
                select(Document)
                .where(
                    or_(
                        col(Document.state) == DocumentState.DELETING,
                        and_(col(Document.state).not_in(PENDING), col(Document.lease).is_not(None)),
                    ),
                    or_(col(Document.leased_until).is_(None), col(Document.leased_until) < utc_now()),
                )
                .limit(limit)
            )
            return list(rows.all())

    async def drop(self, document: Document) -> None:
        """Forget the lease of a dead holder, whose document is cleaned up. One that was taken since stays."""
        async with self._database.transaction(document.tenant) as session:
            await session.exec(
                update(Document)
                .where(col(Document.id) == document.id, col(Document.lease) == document.lease)
                .values(lease=None, leased_until=None)
            )

    async def queued(self, limit: int) -> list[tuple[str, int]]:
        """Documents that wait for a worker, as (id, revision), the least tried first, then the oldest."""
        async with self._database.session(all_tenants=True) as session:
            rows = await session.exec(
                select(Document.id, Document.revision)
                .where(*may_begin())
                .order_by(col(Document.attempts), col(Document.updated_at))
                .limit(limit)
            )
            return [(document_id, revision) for document_id, revision in rows.all()]

    async def held(self, session: AsyncSession, lease: Lease) -> Document | None:
        """The row, locked until the transaction ends; None when lease or revision were lost meanwhile."""
        document = await lock_document(session, lease.document.id)
        if (
            document is None
            or document.lease != lease.id
            or document.revision != lease.document.revision
            or document.state != DocumentState.PROCESSING
        ):
            return None
        return document


async def lock_document(session: AsyncSession, document_id: str) -> Document | None:
    """The row, locked until the transaction ends; None when there is none."""
    found = await session.exec(select(Document).where(Document.id == document_id).with_for_update())
    return found.first()


async def count_parts(session: AsyncSession, left: Mapping[str | None, int]) -> None:
    """Documents have left these jobs otherwise than by their end: count what remains of each. `left` says how many of a
    job's were deleted; those that were replaced are another job's now."""
    for job_id, removed in sorted((job_id, removed) for job_id, removed in left.items() if job_id):
        await jobs.count(session, job_id, pending=await pending(session, job_id), removed=removed)


async def pending(session: AsyncSession, job_id: str) -> int:
    """Documents that the job still has to bring in, and one more while a crawl goes on that may bring others. This, not a
    counter, is what a job's progress is made from."""
    await session.flush()
    rows = await session.exec(
        select(func.count()).select_from(Document).where(Document.job_id == job_id, col(Document.state).in_(PENDING))
    )
    crawls = await session.exec(select(func.count()).select_from(Source).where(Source.job_id == job_id))
    return rows.one() + crawls.one()


async def end_cancelled(session: AsyncSession, job_ids: Iterable[str]) -> None:
    """What was left of these jobs was called off: those that nothing is left of end so, and the others go on."""
    for job_id in sorted(set(job_ids)):
        job = await jobs.lock_job(session, job_id)
        if job is None or JobState(job.state).finished:
            continue
        left = await pending(session, job_id)
        if left:
            await jobs.count(session, job_id, pending=left)
        else:
            await jobs.end(session, job, JobState.CANCELLED)


async def make_ready(session: AsyncSession, document: Document, *, skipped: int = 0) -> None:
    """The document, whose row is locked, has been brought in; counted for its job."""
    document.state = DocumentState.READY
    document.error_code = document.error_message = None
    document.updated_at = utc_now()
    if document.job_id:
        left = await pending(session, document.job_id)
        await jobs.count(session, document.job_id, pending=left, part=part_view(document), skipped=skipped)


async def make_failed(session: AsyncSession, document: Document, code: str, message: str) -> None:
    """The document, whose row is locked, cannot be brought in; counted for its job."""
    document.state = DocumentState.FAILED
    document.error_code, document.error_message = code[:64], message[:1000]
    document.updated_at = utc_now()
    if document.job_id:
        left = await pending(session, document.job_id)
        error = {"document": document.name, "document_id": document.id, "code": code[:64], "message": message[:1000]}
        await jobs.count(session, document.job_id, pending=left, part=part_view(document), error=error)


def part_view(document: Document) -> dict[str, object]:
    """A document as a job's event names it."""
    return {"id": document.id, "name": document.name, "state": document.state, "error_code": document.error_code}


def _hold(document: Document, file_key: str, content_hash: str, size: int) -> None:
    """New content, that no pipeline has read yet: a later try is not to take it for what the stores hold."""
    if document.content_hash != content_hash:
        document.content_at = utc_now()
    document.file_key, document.content_hash, document.size = file_key, content_hash, size
    document.pipeline = ""
