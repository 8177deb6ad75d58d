"""Documents of a collection: brought in by jobs, listed, read, deleted."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete, select

from core import answer_sources, audit
from core.database import Database, utc_now
from core.errors import NotFound, PlatformError
from core.files import Files
from core.principals import Principal
from core.queue import INGESTION, Queue
from core.settings import Settings
from core.tables import Collection, Document, DocumentState, Job
from retrievers import intake
from retrievers.base import Shelf
from retrievers.intake import NewDocument
from retrievers.leases import Leases, lock_document
from retrievers.members import condemn, members_of

if TYPE_CHECKING:
    from retrievers.indexing import Indexer

log = structlog.get_logger()

#: The actor that brings one document in: `ingest_document(document id, revision)`.
INGEST = "ingest_document"
#: The code of what was not brought in because somebody has ended that.
CANCELLED = "cancelled"
_TRIES = 5

__all__ = ["CANCELLED", "INGEST", "Documents", "NewDocument"]


class Documents:
    """Belongs to the event loop of its database."""

    def __init__(self, settings: Settings, database: Database, files: Files, indexer: "Indexer", queue: Queue) -> None:
        self._settings = settings
        self._database = database
        self._files = files
        self._indexer = indexer
        self._queue = queue
        self.leases = Leases(database, lease_s=settings.jobs.lease_s, max_attempts=settings.jobs.max_attempts)

    async def add(
        self,
        principal: Principal,
        collection: Collection,
        items: Sequence[NewDocument],
        *,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[Job, list[Document]]:
        """Bring documents in, by a job. New content under a known name replaces the old once it is ready; unchanged content is
        counted as done at once. The rows are in the order of `items`.

        Raises:
            InvalidRequest: nothing, or a document that is none (narrower codes say why).
            UnreadableFile: `empty_file`: there is no content in any of them.
            NotFound: the collection is gone.
        """
        intake.check(items)
        names = [item.name for item in items]
        pipeline = await self._indexer.pipeline_of(Shelf.of(collection))
        for tries_left in reversed(range(_TRIES)):
            async with self._database.session(collection.tenant) as session:
                known = await session.exec(
                    select(Document).where(Document.collection_id == collection.id, col(Document.name).in_(names))
                )
                rows = {document.name: document for document in known.all()}
            arrivals = await intake.store_originals(self._files, collection, items, rows)
            try:
                async with self._database.transaction(collection.tenant) as session:
                    job, accepted = await intake.accept(
                        session,
                        principal,
                        collection,
                        arrivals,
                        pipeline=pipeline,
                        arguments={"collection": collection.name} | dict(arguments or {}),
                    )
                    job = await session.get_one(Job, job.id, populate_existing=True)
                    on = ("collection", collection.id)
                    told: dict[str, audit.Detail] = {"job": job.id, "documents": len(items)}
                    await audit.record(session, audit.Action.DOCUMENT_ADDED, on=on, details=told, principal=principal)
                break
            except (IntegrityError, PlatformError) as error:  # not what may come after the commit: its files are in use
                for arrival in arrivals:
                    if arrival.file_key:
                        await self._files.delete(arrival.file_key)
                if not isinstance(error, IntegrityError) or not tries_left:
                    raise
        await self._queue.send_all(INGEST, accepted.to_send, queue=INGESTION)
        for key in accepted.stale_files:
            await self._files.delete(key)
        log.info("documents.accepted", job_id=job.id, documents=len(items), to_read=len(accepted.to_send))
        order = {name: number for number, name in enumerate(names)}
        return job, sorted(accepted.documents, key=lambda document: order[document.name])

    async def get(self, principal: Principal, collection: Collection, document_id: str) -> Document:
        """Raises NotFound (`document_not_found`)."""
        async with self._database.session(principal.tenant) as session:
            document = await session.get(Document, document_id)
        if (
            document is None
            or document.tenant != principal.tenant
            or document.collection_id != collection.id
            or document.state == DocumentState.DELETING
        ):
            raise NotFound("There is no such document.", code="document_not_found")
        return document

    async def page(
        self,
        collection: Collection,
        *,
        limit: int,
        after: str | None = None,
        state: DocumentState | None = None,
        name: str | None = None,
        containing: str | None = None,
    ) -> tuple[list[Document], str | None]:
        """Documents by name, and the position that the next page starts after; only those in `state`, of the exact `name`, or
        with `containing` in their name, in capitals or small letters, where given."""
        query = select(Document).where(Document.collection_id == collection.id, Document.state != DocumentState.DELETING)
        if state is not None:
            query = query.where(Document.state == state.value)
        if name is not None:
            query = query.where(Document.name == name)
        if containing:
            query = query.where(col(Document.name).icontains(containing, autoescape=True))
        if after is not None:
            query = query.where(Document.name > after)
        async with self._database.session(collection.tenant) as session:
            rows = (await session.exec(query.order_by(Document.name).limit(limit + 1))).all()
        found = list(rows[:limit])
        return found, found[-1].name if len(rows) > limit else None

    async def text(self, principal: Principal, collection: Collection, document_id: str) -> str:
        """The extracted text of what is searchable now; citations are offsets into it.

        Raises:
            NotFound: `document_not_found`; `text_not_found` where it has not been read yet, or could not be.
        """
        document = await self.get(principal, collection, document_id)
        if not document.text_key or not document.indexed_revision:
            raise NotFound("The document has no text yet.", code="text_not_found")
        return (await self._files.get(document.text_key, tenant=document.tenant)).decode()

    async def original(self, principal: Principal, collection: Collection, document_id: str) -> tuple[Document, bytes]:
        """The file as it was given, or fetched.

        Raises:
            NotFound: `document_not_found`; `file_not_found` where a URL has not been fetched yet.
        """
        document = await self.get(principal, collection, document_id)
        if not document.file_key:
            raise NotFound("The document has not been fetched yet.", code="file_not_found")
        return document, await self._files.get(document.file_key, tenant=document.tenant)

    async def delete(self, principal: Principal, collection: Collection, document_id: str) -> None:
        """Delete the row, its chunks and its files, with an archive all of its members. They are out of sight at once; their
        names are free again.

        Raises:
            NotFound: `document_not_found`.
        """
        await self.get(principal, collection, document_id)
        async with self._database.transaction(principal.tenant) as session:
            document = await lock_document(session, document_id)
            if document is None or document.state == DocumentState.DELETING:
                return
            condemned = [document, *await members_of(session, document)]
            await condemn(session, condemned, principal)
        for row in condemned:
            await self.purge(row)

    async def purge(self, document: Document, *, lease: str | None = None) -> bool:
        """Clean up after a deleted document; may be repeated. False while another worker holds it: the row stays until then,
        and goes when the worker cleans up with its own `lease`."""
        await self._indexer.forget(document)
        await self._files.delete_prefix(f"{document.collection_id}/{document.id}")
        if document.file_key:
            await self._files.delete(document.file_key)
        sealer = await self._database.keyring.sealer(document.tenant)
        async with self._database.transaction(document.tenant) as session:
            row = await lock_document(session, document.id)
            if row is None:
                return True
            await answer_sources.withhold(session, sealer, [document.id])
            if row.lease not in (None, lease) and row.leased_until is not None and row.leased_until > utc_now():
                return False
            await session.exec(delete(Document).where(col(Document.id) == document.id))
        return True

    async def tidy(self, document: Document, *, lease: str | None = None) -> None:
        """Bring stores and files in line with the row: chunks of revisions that are not searchable go; all of a deleted
        document goes. May be repeated."""
        if document.state == DocumentState.DELETING:
            await self.purge(document, lease=lease)
        else:
            await self._indexer.retire(document)
