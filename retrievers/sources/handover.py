"""What a crawl has found becomes documents, and what is gone is deleted: while the crawl's lease holds, and never otherwise."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import jobs
from core.database import Database
from core.errors import NotFound, PlatformError
from core.files import Files
from core.queue import INGESTION, Queue
from core.tables import Collection, Document, DocumentState
from retrievers.documents import INGEST, Documents
from retrievers.intake import Accepted, Arrival, NewDocument, admit, hold_collection, store_originals
from retrievers.leases import count_parts, make_failed, pending
from retrievers.members import condemn
from retrievers.sources.crawls import CrawlLease, held

_Item = TypeVar("_Item")

#: Files that are read before they are handed over; of what is gone, how many are deleted in one transaction.
AT_ONCE = 50
_TRIES = 5


class CrawlStopped(Exception):
    """The lease was lost: cancelled, paused or deleted meanwhile, or another worker has it."""


class Handover:
    """Belongs to the event loop of its database."""

    def __init__(self, database: Database, files: Files, documents: Documents, queue: Queue) -> None:
        self._database = database
        self._files = files
        self._documents = documents
        self._queue = queue

    async def take_in(
        self, lease: CrawlLease, items: Sequence[NewDocument], pipeline: str
    ) -> tuple[int, Sequence[NewDocument]]:
        """Make documents of them, as parts of the crawl's job; how many had the content already, and those that could not be
        read whose name is another's document: it stays what it is.

        Raises:
            CrawlStopped
        """
        source = lease.source
        mine = (col(Document.collection_id) == source.collection_id, col(Document.name).in_([item.name for item in items]))
        for tries_left in reversed(range(_TRIES)):
            async with self._database.session(source.tenant) as session:
                collection = await session.get(Collection, source.collection_id)
                rows = {row.name: row for row in (await session.exec(select(Document).where(*mine))).all()}
            if collection is None:
                raise CrawlStopped
            kept = [item for item in items if item.failure is not None and item.name in rows]
            wanted = [item for item in items if item.failure is None or item.name not in rows]
            arrivals = await store_originals(self._files, collection, wanted, rows)
            try:
                async with self._database.transaction(source.tenant) as session:
                    accepted = await _admitted(session, lease, collection, arrivals, pipeline)
                break
            except (IntegrityError, PlatformError, CrawlStopped) as error:  # not what may come after the commit
                for arrival in arrivals:
                    if arrival.file_key:
                        await self._files.delete(arrival.file_key)
                if isinstance(error, NotFound):
                    raise CrawlStopped from error
                if not isinstance(error, IntegrityError) or not tries_left:
                    raise
        await self._queue.send_all(INGEST, accepted.to_send, queue=INGESTION)
        for key in accepted.stale_files:
            await self._files.delete(key)
        return accepted.skipped, kept

    async def delete(self, lease: CrawlLease, names: Sequence[str]) -> int:
        """Delete those documents of the source; how many there were. Raises CrawlStopped."""
        deleted = 0
        for some in in_parts(names, AT_ONCE):
            async with self._database.transaction(lease.source.tenant) as session:
                if await held(session, lease) is None:
                    raise CrawlStopped
                query = select(Document).where(
                    Document.collection_id == lease.source.collection_id,
                    Document.source_id == lease.source.id,
                    Document.state != DocumentState.DELETING,
                    col(Document.name).in_(some),
                )
                rows = list((await session.exec(query.order_by(Document.name).with_for_update())).all())
                await condemn(session, rows)
            for row in rows:
                await self._documents.purge(row)
            deleted += len(rows)
        return deleted


async def _admitted(
    session: AsyncSession, lease: CrawlLease, collection: Collection, arrivals: Sequence[Arrival], pipeline: str
) -> Accepted:
    """The rows, counted for the crawl's job."""
    await hold_collection(session, collection.id)
    if await held(session, lease) is None:
        raise CrawlStopped
    accepted = await admit(session, collection, lease.job.id, arrivals, pipeline=pipeline)
    job = await jobs.lock_job(session, lease.job.id)
    if job is not None:
        job.total += len(arrivals)
        session.add(job)
    await count_parts(session, dict.fromkeys(accepted.replaced_jobs - {lease.job.id}, 0))
    for document, code, message in accepted.failed:
        await make_failed(session, document, code, message)
    if accepted.skipped:
        left = await pending(session, lease.job.id)
        await jobs.count(session, lease.job.id, pending=left, skipped=accepted.skipped)
    return accepted


def in_parts(whole: Sequence[_Item], at_once: int) -> Iterator[Sequence[_Item]]:
    """The whole in its order, as many at once."""
    for first in range(0, len(whole), at_once):
        yield whole[first : first + at_once]
