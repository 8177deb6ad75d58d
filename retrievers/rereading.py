"""Documents that were read otherwise than they would be now are read again: by another splitting, or by an older version."""

from collections.abc import Sequence

import structlog
from sqlalchemy import ColumnElement
from sqlmodel import and_, col, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit, jobs
from core.database import Database, utc_now
from core.principals import Principal
from core.queue import INGESTION, Queue
from core.tables import Collection, Document, DocumentState, Job
from retrievers.base import Shelf
from retrievers.documents import INGEST
from retrievers.generations import check_model
from retrievers.indexing import Indexer
from retrievers.intake import hold_collection

log = structlog.get_logger()

#: Messages that one call hands to the broker.
_SENT_AT_ONCE = 1000
#: Identifiers in one question to the database, which takes so many parameters alone.
_ASKED_AT_ONCE = 500


class Rereading:
    """Belongs to the event loop of its database. Who may change the collection, the caller has asked."""

    def __init__(self, database: Database, indexer: Indexer, queue: Queue) -> None:
        self._database, self._indexer, self._queue = database, indexer, queue

    async def begin(self, principal: Principal, collection: Collection) -> Job:
        """Have a collection's outdated documents read again, by a job that ends at once where there are none. What is found of
        them stays until they are ready anew; what is just being read begins again. Archives bring nothing in by themselves.

        Raises:
            NotFound: the collection is gone.
            Conflict: `embedding_changed`: every one of them would fail by it.
        """
        generation = await self._indexer.generations.current(Shelf.of(collection))
        check_model(self._indexer.resources, generation)
        pipeline = self._indexer.pipeline_fingerprint(generation)
        outdated = and_(Document.state == DocumentState.READY, col(Document.pipeline) != pipeline, col(Document.text_key) != "")
        mine = col(Document.collection_id) == collection.id
        again = {"revision": col(Document.revision) + 1, "state": DocumentState.QUEUED, "attempts": 0, "updated_at": utc_now()}
        async with self._database.transaction(collection.tenant) as session:
            await hold_collection(session, collection.id)
            query = select(Document.id).where(mine, or_(outdated, Document.state == DocumentState.PROCESSING))
            ids = (await session.exec(query.order_by(Document.name).with_for_update())).all()
            arguments = {"collection": collection.name, "refresh": True}
            total = len((await session.exec(select(Document.id).where(mine, outdated))).all())
            job = await jobs.open_job(session, principal, jobs.INGESTION, total=total, arguments=arguments)
            await session.exec(update(Document).where(mine, col(Document.state) == DocumentState.PROCESSING).values(**again))
            await session.exec(update(Document).where(mine, outdated).values(**again, job_id=job.id))
            if not total:
                await jobs.count(session, job.id, pending=0)
            told: dict[str, audit.Detail] = {"job": job.id, "documents": total}
            on = ("collection", collection.id)
            await audit.record(session, audit.Action.DOCUMENT_RETRIED, on=on, details=told, principal=principal)
            rows = await _waiting(session, mine, ids)
        for first in range(0, len(rows), _SENT_AT_ONCE):
            await self._queue.send_all(INGEST, rows[first : first + _SENT_AT_ONCE], queue=INGESTION)
        log.info("documents.outdated", job_id=job.id, documents=total)
        return job


async def _waiting(session: AsyncSession, mine: ColumnElement[bool], ids: Sequence[str]) -> list[tuple[str, int]]:
    """Those documents with their revisions."""
    found: list[tuple[str, int]] = []
    for first in range(0, len(ids), _ASKED_AT_ONCE):
        some = col(Document.id).in_(ids[first : first + _ASKED_AT_ONCE])
        rows = await session.exec(select(Document.id, Document.revision).where(mine, some))
        found += [(document_id, revision) for document_id, revision in rows.all()]
    return found
