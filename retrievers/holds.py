"""Ingestion that is held: that of a job, a source or a collection waits while it is paused, and ends when it is cancelled.

What is paused takes what comes in, and begins none of it. What a worker has begun already, it finishes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import ColumnElement
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit, jobs
from core.database import Database, utc_now
from core.errors import Conflict, NotFound
from core.principals import Principal
from core.queue import INGESTION, Queue
from core.tables import Collection, Document, DocumentState, Job, JobState, Source
from retrievers.documents import CANCELLED, INGEST
from retrievers.leases import PENDING, end_cancelled
from retrievers.sources.crawls import CRAWL, QUEUE, stop_below
from retrievers.turns import may_begin

log = structlog.get_logger()

#: Messages that are sent at once for what waits no longer; the sweeper sends the rest.
_SENT = 200


@dataclass(frozen=True, slots=True)
class Held:
    """What can be held: a row (`Collection`, `Source` or `Job`) by its identifier; `name` is what the record calls it."""

    table: type[Collection] | type[Source] | type[Job]
    id: str
    name: str

    @property
    def documents(self) -> ColumnElement[bool]:
        """The condition of its documents."""
        columns: dict[Any, Any] = {Collection: Document.collection_id, Source: Document.source_id, Job: Document.job_id}
        return col(columns[self.table]) == self.id

    @property
    def crawls(self) -> ColumnElement[bool]:
        """The condition of the sources whose crawl it is."""
        columns: dict[Any, Any] = {Collection: Source.collection_id, Source: Source.id, Job: Source.job_id}
        return col(columns[self.table]) == self.id


def of_collection(row: Collection) -> Held:
    """A collection's ingestion."""
    return Held(Collection, row.id, "collection")


def of_source(row: Source) -> Held:
    """A source's ingestion."""
    return Held(Source, row.id, "source")


def of_job(row: Job) -> Held:
    """A job's ingestion."""
    return Held(Job, row.id, "job")


class Holds:
    """Belongs to the event loop of its database. Who may hold what, the caller has asked."""

    def __init__(self, database: Database, queue: Queue) -> None:
        self._database = database
        self._queue = queue

    async def pause(self, principal: Principal, what: Held) -> None:
        """Begin nothing of it any more. No effect on what is paused already.

        Raises:
            NotFound: it is gone. Conflict: the job has ended (`job_finished`).
        """
        async with self._database.transaction(principal.tenant) as session:
            row = await _locked(session, what)
            if row.paused_at is None:
                row.paused_at = utc_now()
                session.add(row)
                await _record(session, audit.Action.INGESTION_PAUSED, what, principal)
        log.info("ingestion.paused", what=what.name, id=what.id)

    async def resume(self, principal: Principal, what: Held) -> None:
        """Go on with it. No effect on what is not paused. Raises as `pause`."""
        async with self._database.transaction(principal.tenant) as session:
            row = await _locked(session, what)
            if row.paused_at is None:
                return
            row.paused_at = None
            session.add(row)
            await _record(session, audit.Action.INGESTION_RESUMED, what, principal)
        async with self._database.session(principal.tenant) as session:
            query = select(Document.id, Document.revision).where(what.documents, *may_begin()).limit(_SENT)
            waiting = [(document_id, revision) for document_id, revision in (await session.exec(query)).all()]
            sources = select(Source.id).where(what.crawls, col(Source.job_id).is_not(None))
            crawls = (await session.exec(sources)).all()
        await self._queue.send_all(INGEST, waiting, queue=INGESTION)
        await self._queue.send_all(CRAWL, [(source_id,) for source_id in crawls], queue=QUEUE)
        log.info("ingestion.resumed", what=what.name, id=what.id)

    async def cancel(self, principal: Principal, what: Held) -> int:
        """End it: what is ready stays, what is not becomes `failed` with the code `cancelled`, crawls that go on stop. How many
        documents were not brought in. Raises as `pause`."""
        async with self._database.transaction(principal.tenant) as session:
            if what.table is not Job:
                await _locked(session, what)
            ended = await stop_below(session, what.crawls)
            called_off = await _call_off(session, what.documents)
            if what.table is Job:
                job = await _locked(session, what)
                await jobs.end(session, job, JobState.CANCELLED)
            await end_cancelled(session, {*ended, *(job_id for job_id in called_off if job_id)})
            await _record(session, audit.Action.INGESTION_CANCELLED, what, principal)
        log.info("ingestion.cancelled", what=what.name, id=what.id, documents=len(called_off), principal=principal.id)
        return len(called_off)


async def _call_off(session: AsyncSession, documents: ColumnElement[bool]) -> Sequence[str | None]:
    """Fail what of these documents waits or is worked on; their jobs, one for each."""
    waiting = select(Document.id, Document.job_id).where(documents, col(Document.state).in_(PENDING))
    rows = (await session.exec(waiting.order_by(Document.name).with_for_update())).all()
    await session.exec(
        update(Document)
        .where(documents, col(Document.state).in_(PENDING))
        .values(
            state=DocumentState.FAILED,
            error_code=CANCELLED,
            error_message="It was cancelled before it was brought in.",
            updated_at=utc_now(),
        )
    )
    return [job_id for _, job_id in rows]


async def _locked(session: AsyncSession, what: Held) -> Any:
    if what.table is Job:
        job = await jobs.lock_job(session, what.id)
        if job is None or JobState(job.state).finished:
            raise Conflict("The job has ended already.", code="job_finished")
        return job
    row: Any = await session.get(what.table, what.id, with_for_update=True, populate_existing=True)
    if row is None or getattr(row, "deleted_at", None) is not None:
        raise NotFound(f"There is no such {what.name}.", code=f"{what.name}_not_found")
    return row


async def _record(session: AsyncSession, action: audit.Action, what: Held, principal: Principal) -> None:
    await audit.record(session, action, on=(what.name, what.id), principal=principal)
