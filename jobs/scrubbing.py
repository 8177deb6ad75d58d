"""Nothing of a deleted document stays: where a store keeps what was deleted in its files, they are written anew in time, and
the answers that were kept of questions of its tenant are dropped, since nobody knows which of them stand on it.

May be done by several processes at once, and again.
"""

from datetime import timedelta

import structlog
from sqlmodel import col, select, update

from core.database import utc_now
from core.errors import PlatformError
from core.tables import Collection, DepartedDocument, Document
from core.threads import run_to_end
from jobs.base import JobContext

log = structlog.get_logger()

#: Rest after a store or the cache was away.
_REST = timedelta(minutes=1)
#: What nobody cleans up after any more: its row goes last.
_GONE = (
    col(DepartedDocument.remains),
    ~select(Document.id).where(Document.id == DepartedDocument.document_id).exists(),
    ~select(Collection.id).where(Collection.id == DepartedDocument.document_id).exists(),
)


class Scrubbing:
    """Applied by the sweeper."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._not_before = utc_now()

    async def apply_in_time(self) -> None:
        """Scrub where something was deleted as long ago as `GENAI_RETENTION__SCRUB_AFTER_S` says."""
        after_s, now = self._context.settings.retention.scrub_after_s, utc_now()
        if after_s is None or now < self._not_before:
            return
        due = col(DepartedDocument.departed_at) <= now - timedelta(seconds=after_s)
        async with self._context.database.session(all_tenants=True) as session:
            if (await session.exec(select(DepartedDocument.document_id).where(*_GONE, due).limit(1))).first() is None:
                return
        try:
            await self.apply()
        except PlatformError as error:
            self._not_before = utc_now() + _REST
            log.warning("scrubbing.waits", code=error.code)

    async def apply(self) -> int:
        """Scrub now. Of how many documents and collections something may have been left.

        Raises:
            Unavailable: a store or the cache does not answer, or is busy.
        """
        database, resources = self._context.database, self._context.library.resources
        async with database.session(all_tenants=True) as session:
            query = select(DepartedDocument.tenant, DepartedDocument.document_id).where(*_GONE)
            gone = (await session.exec(query)).all()
        for tenant in sorted({tenant for tenant, _ in gone}):
            await resources.models.answers.drop(tenant)
        await run_to_end(resources.scrub)
        await resources.models.answers.scrub()
        if not await database.scrub():
            log.debug("scrubbing.database_read")  # what its log of changes still has goes when it is next emptied
        ids = sorted(document_id for _, document_id in gone)
        async with database.transaction(all_tenants=True) as session:
            for first in range(0, len(ids), 500):
                mine = col(DepartedDocument.document_id).in_(ids[first : first + 500])
                await session.exec(update(DepartedDocument).where(mine).values(remains=False))
        log.info("scrubbing.applied", gone=len(ids))
        return len(ids)
