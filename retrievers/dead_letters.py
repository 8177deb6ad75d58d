"""Documents that could not be brought in, for good or after their tries: listed with the reason, tried again, deleted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import ColumnElement
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit, jobs
from core.database import Database, utc_now
from core.principals import Principal
from core.queue import INGESTION, Queue
from core.tables import Collection, Document, DocumentState, Job, JobState, Source
from retrievers.documents import INGEST, Documents
from retrievers.intake import hold_collection
from retrievers.members import condemn, members_of
from retrievers.sharing import visible_to
from retrievers.sources.crawls import CRAWL, QUEUE, begin

log = structlog.get_logger()

#: Dead letters that one transaction deletes, or puts back into the queue.
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Which:
    """Of all dead letters of a collection, those that are meant: None leaves a side open."""

    documents: Sequence[str] | None = None
    job_id: str | None = None
    code: str | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        found = [col(Document.state) == DocumentState.FAILED]
        if self.documents is not None:
            found.append(col(Document.id).in_(self.documents))
        if self.job_id is not None:
            found.append(col(Document.job_id) == self.job_id)
        if self.code is not None:
            found.append(col(Document.error_code) == self.code)
        return found


@dataclass(frozen=True, slots=True)
class Retried:
    """What is tried again: `documents` of them by `job`, None where none was; those whose content was never here by a crawl of
    their source, by the jobs `crawls`; `left` that only whoever has them can give anew."""

    job: Job | None
    documents: int
    crawls: Sequence[Job]
    left: int


class DeadLetters:
    """Belongs to the event loop of its database. Who may change the collection, the caller has asked."""

    def __init__(self, database: Database, documents: Documents, queue: Queue) -> None:
        self._database = database
        self._documents = documents
        self._queue = queue

    async def page(
        self, principal: Principal, which: Which, *, collection: Collection | None = None, limit: int, after: str | None = None
    ) -> tuple[list[tuple[Document, str]], str | None]:
        """Those of a collection, or of all that the principal may read, each with its collection's name, by identifier; and the
        position that the next page starts after."""
        query = (
            select(Document, Collection.name)
            .join(Collection, col(Collection.id) == col(Document.collection_id))
            .where(Document.tenant == principal.tenant, *which.conditions, col(Collection.deleted_at).is_(None))
        )
        query = query.where(visible_to(principal) if collection is None else Document.collection_id == collection.id)
        if after is not None:
            query = query.where(Document.id > after)
        async with self._database.session(principal.tenant) as session:
            rows = (await session.exec(query.order_by(Document.id).limit(limit + 1))).all()
        found = [(document, name) for document, name in rows[:limit]]
        return found, found[-1][0].id if len(rows) > limit else None

    async def retry(self, principal: Principal, collection: Collection, which: Which) -> Retried:
        """Try them again, with all of their tries, by a job of the principal's.

        Raises:
            NotFound: the collection is gone.
        """
        job: Job | None = None
        wanted: Counter[str] = Counter()
        documents, after = 0, ""
        while True:
            async with self._database.transaction(collection.tenant) as session:
                await hold_collection(session, collection.id)
                query = select(Document).where(Document.collection_id == collection.id, *which.conditions)
                query = query.where(Document.name > after).order_by(Document.name).limit(_AT_ONCE)
                rows = (await session.exec(query.with_for_update())).all()
                after = rows[-1].name if rows else after
                again = [row for row in rows if row.file_key or row.source_url]
                if again:
                    job = await self._queue_again(session, principal, collection, again, job)
                if again or (job is None and len(rows) < _AT_ONCE):
                    told: dict[str, audit.Detail] = {"documents": len(again)}
                    on = ("collection", collection.id)
                    await audit.record(session, audit.Action.DOCUMENT_RETRIED, on=on, details=told, principal=principal)
            await self._queue.send_all(INGEST, [(row.id, row.revision) for row in again], queue=INGESTION)
            documents += len(again)
            for row in rows:
                if not (row.file_key or row.source_url):
                    wanted[row.source_id or ""] += 1
            if len(rows) < _AT_ONCE:
                break
        given = wanted.pop("", 0)
        crawls, left = await self._crawl_again(principal, collection, wanted)
        log.info("documents.retried", documents=documents, crawls=len(crawls))
        return Retried(job, documents, crawls, given + left)

    async def delete(self, principal: Principal, collection: Collection, which: Which) -> int:
        """Delete them, with what was found of them before they failed, and with an archive all of its members; how many."""
        deleted = 0
        while True:
            async with self._database.transaction(collection.tenant) as session:
                query = select(Document).where(Document.collection_id == collection.id, *which.conditions)
                rows = (await session.exec(query.order_by(Document.name).limit(_AT_ONCE).with_for_update())).all()
                condemned = {row.id: row for row in rows}
                for row in rows:
                    condemned |= {member.id: member for member in await members_of(session, row)}
                await condemn(session, list(condemned.values()), principal)
            for row in condemned.values():
                await self._documents.purge(row)
            deleted += len(condemned)
            if len(rows) < _AT_ONCE:
                return deleted

    @staticmethod
    async def _queue_again(
        session: AsyncSession, principal: Principal, collection: Collection, rows: Sequence[Document], known: Job | None
    ) -> Job:
        """Their job: the one that is `known`, or a new one where all that it had was read meanwhile."""
        job = await jobs.lock_job(session, known.id) if known is not None else None
        if job is None or JobState(job.state).finished:
            arguments = {"collection": collection.name, "retry": True}
            job = await jobs.open_job(session, principal, jobs.INGESTION, total=len(rows), arguments=arguments)
        else:
            job.total += len(rows)
            session.add(job)
        for row in rows:
            row.job_id = job.id
            row.revision += 1  # who still has a lease on the failed try can change nothing any more
            row.state = DocumentState.QUEUED
            row.attempts = 0
            row.error_code = row.error_message = None
            row.updated_at = utc_now()
            if row.source_url is not None:
                row.pipeline = ""  # whatever is fetched is to be read
            session.add(row)
        await session.flush()
        return job

    async def _crawl_again(
        self, principal: Principal, collection: Collection, wanted: Mapping[str, int]
    ) -> tuple[list[Job], int]:
        """Crawl these sources; the jobs, and how many documents are of a source that is gone, or paused."""
        found, left = list[Job](), 0
        for source_id in sorted(wanted):
            async with self._database.transaction(collection.tenant) as session:
                row = await session.get(Source, source_id, with_for_update=True)
                if row is None or row.paused_at is not None:
                    left += wanted[source_id]
                    continue
                found.append(await begin(session, row, collection.name, principal))
            await self._queue.send(CRAWL, source_id, queue=QUEUE)
        return found, left
