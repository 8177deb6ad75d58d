"""Brings in an archive: each member becomes a document of its own, and a part of the archive's job."""

from collections.abc import Sequence

import structlog
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import jobs
from core.database import Database
from core.errors import PlatformError, UnreadableFile
from core.files import Files
from core.queue import INGESTION, Queue
from core.settings import Settings
from core.tables import Collection, Document
from retrievers.changes import note_change
from retrievers.documents import INGEST, Documents
from retrievers.intake import LONGEST_NAME_BYTES, Accepted, Arrival, NewDocument, admit, hold_collection, store_originals
from retrievers.leases import Lease, count_parts, make_failed, make_ready, pending
from retrievers.members import condemn, members_below
from retrievers.parsing import unpack

log = structlog.get_logger(__name__)

#: What a member's path has left of a name at least; a column holds 1,000 characters of it.
_LEAST_PATH_BYTES = 64


class Unpacker:
    """Belongs to the event loop of its database."""

    def __init__(self, settings: Settings, database: Database, files: Files, documents: Documents, queue: Queue) -> None:
        self._settings = settings
        self._database = database
        self._files = files
        self._documents = documents
        self._queue = queue

    async def bring_in(self, lease: Lease, pipeline: str) -> bool:
        """Open the archive that the lease is on, and make documents of its members: parts of the same job, read in turn by the
        workers. A member that cannot be taken out fails by its name; one that is unchanged is skipped; those that are no longer
        in the archive are deleted. False when the lease was lost meanwhile; then nothing has changed. May be repeated.

        Raises:
            UnreadableFile: the archive as a whole cannot be read, and none of it counts.
            NotFound: the collection was deleted meanwhile.
            IntegrityError: another has made a document of the same name at the same moment; the call can be repeated.
        """
        archive = lease.document
        room = LONGEST_NAME_BYTES - len(archive.name.encode()) - 1
        if room < _LEAST_PATH_BYTES:
            raise UnreadableFile("The archive's name is too long to be put before those of its members.", code="invalid_name")
        async with self._files.scratch.adirectory("archive") as scratch:
            async with self._files.local(archive.file_key, tenant=archive.tenant) as original:
                media_type, found = await unpack(original, archive.name, scratch, settings=self._settings, path_bytes=room)
            items = [
                NewDocument(
                    f"{archive.name}/{member.path}",
                    data=scratch / str(member.number) if member.number is not None else None,
                    attributes=archive.attributes,
                    failure=None if member.number is not None else (member.code, member.message),
                    source_id=archive.source_id,
                )
                for member in found
            ]
            return await self._take_in(lease, media_type, items, pipeline)

    async def _take_in(self, lease: Lease, media_type: str, items: Sequence[NewDocument], pipeline: str) -> bool:
        archive = lease.document
        async with self._database.session(archive.tenant) as session:
            collection = await session.get(Collection, archive.collection_id)
            same = col(Document.name).in_([item.name for item in items])
            known = await session.exec(select(Document).where(Document.collection_id == archive.collection_id, same))
            rows = {document.name: document for document in known.all()}
        if collection is None:
            return False
        arrivals = await store_originals(self._files, collection, items, rows)
        names = {item.name for item in items}
        try:
            async with self._database.transaction(archive.tenant) as session:
                await hold_collection(session, archive.collection_id)
                row = await self._documents.leases.held(session, lease)
                if row is not None:
                    below = await members_below(session, row)
                    gone = [member for member in below if member.name not in names]
                    accepted = await self._admit(session, row, collection, arrivals, pipeline)
                    was_searchable = bool(row.indexed_revision)
                    _hold_nothing(row, media_type)
                    await make_ready(session, row)
                    if was_searchable:
                        await note_change(session, row)
                    await condemn(session, gone)
        except (IntegrityError, PlatformError):  # not what may come after the commit: its files are in use
            await self._delete_stored(arrivals)
            raise
        if row is None:
            await self._delete_stored(arrivals)
            return False
        await self._queue.send_all(INGEST, accepted.to_send, queue=INGESTION)
        for key in accepted.stale_files:
            await self._files.delete(key)
        for member in gone:
            await self._documents.purge(member)
        log.info("archive.unpacked", document_id=archive.id, members=len(items), to_read=len(accepted.to_send))
        return True

    async def _admit(
        self, session: AsyncSession, row: Document, collection: Collection, arrivals: Sequence[Arrival], pipeline: str
    ) -> Accepted:
        """The members' rows, counted for the archive's job, which goes on while the archive itself is not ready."""
        job = await jobs.lock_job(session, row.job_id) if row.job_id else None
        if job is not None:
            job.total += len(arrivals)
        accepted = await admit(session, collection, row.job_id, arrivals, pipeline=pipeline)
        await count_parts(session, dict.fromkeys(accepted.replaced_jobs - {row.job_id}, 0))
        for document, code, message in accepted.failed:
            await make_failed(session, document, code, message)
        if row.job_id and accepted.skipped:
            await jobs.count(session, row.job_id, pending=await pending(session, row.job_id), skipped=accepted.skipped)
        return accepted

    async def _delete_stored(self, arrivals: Sequence[Arrival]) -> None:
        for arrival in arrivals:
            if arrival.file_key:
                await self._files.delete(arrival.file_key)


def _hold_nothing(archive: Document, media_type: str) -> None:
    """The archive's own row: without text, and looked into anew whenever it is brought in, as no pipeline has read it."""
    archive.media_type = media_type
    archive.pages = None
    archive.characters = archive.chunks = archive.indexed_revision = 0
    archive.text_key = archive.chunks_key = archive.chunks_digest = archive.pipeline = ""
