"""Bringing one document in: lease it, fetch it where it is a URL, index it, and say how that ended."""

import asyncio
import hashlib
from dataclasses import replace

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from core.contained import contained
from core.context import RequestContext, serving
from core.errors import PlatformError, UnreadableFile
from core.jobs import job_principal
from core.principals import SYSTEM, Principal, Scope
from core.queue import INGESTION
from core.rights import REVOKED, REVOKED_MESSAGE, principal_now
from core.tables import Collection, Document, DocumentState, Job
from core.tables.columns import new_id
from jobs.alive import LeaseLost, kept_alive
from jobs.base import JobContext, JobSpec
from jobs.joining import joined
from retrievers.base import Shelf
from retrievers.documents import INGEST
from retrievers.generations import GenerationChanged
from retrievers.leases import ENDED, INTERRUPTED, Lease
from retrievers.parsing import ARCHIVE_FOUND
from retrievers.sharing import Level, levels_of

log = structlog.get_logger()

#: Seconds before the second try, the third, and so on; the last one holds for all further ones.
RETRY_DELAYS_S = (1.0, 5.0, 30.0)
#: How often it is looked for room before the message is sent again, and seconds between two looks.
LOOKS, LOOK_EVERY_S = 8, 0.25


async def ingest_document(context: JobContext, document_id: str, revision: int) -> None:
    """Bring in the document whose turn it is. The message says which one it was sent for: there are as many messages as
    documents that wait, and which comes first is not the broker's to say. May be repeated, and run at once by many."""
    log.debug("document.called", document_id=document_id, revision=revision)
    leases = context.library.documents.leases
    lease = await _next(context, document_id, revision)
    if lease is None:
        return
    with leases.working_on(lease):
        await _work_on(context, lease)


async def _next(context: JobContext, document_id: str, revision: int) -> Lease | None:
    """The document whose turn it is, `jobs.threads` of them at once; and one more at once of a tenant that none is of: whoever
    brings in a single file does not wait behind another's long ones. While there is no room, the message waits, and is sent
    again after a while."""
    leases = context.library.documents.leases
    for _ in range(LOOKS):
        in_work = leases.in_work
        full = sum(in_work.values()) >= context.settings.jobs.threads
        lease = await leases.take_next(without=set(in_work) if full else frozenset())
        if lease is not None or not (full or leases.waits):
            return lease
        await asyncio.sleep(LOOK_EVERY_S)
    await context.queue.send(INGEST, document_id, revision, queue=INGESTION, delay_ms=int(LOOK_EVERY_S * 1000))
    return None


async def _work_on(context: JobContext, lease: Lease) -> None:
    leases = context.library.documents.leases
    document = lease.document
    async with context.database.session(document.tenant) as session:
        job = await session.get(Job, document.job_id) if document.job_id else None
        kept = job_principal(job) if job is not None else replace(SYSTEM, tenant=document.tenant)
        principal = await principal_now(session, kept)
        if principal is not None:
            collection = await session.get(Collection, document.collection_id)
            principal = principal if await may_write(session, principal, collection) else None
    request = RequestContext(request_id=document.job_id or "-", principal=principal or kept, capability=INGESTION)
    bound = structlog.contextvars.bound_contextvars(job_id=document.job_id, document_id=document.id)
    with joined(job, "document", document.attempts), bound, serving(request):
        try:
            async with kept_alive(lambda: leases.renew(lease), lease_s=context.settings.jobs.lease_s):
                if principal is None:
                    log.info("document.failed", code=REVOKED)
                    await leases.fail(lease, REVOKED, REVOKED_MESSAGE)
                else:
                    await _try(context, lease)
        except LeaseLost:
            log.info("document.left", revision=lease.document.revision)
        finally:
            await asyncio.shield(let_go(context, lease))


async def may_write(session: AsyncSession, principal: Principal, collection: Collection | None) -> bool:
    """Whether whom the work is for could bring documents in now: a role or a share may have been taken away since."""
    if collection is None or not principal.may(Scope.RAG_WRITE):
        return False
    (level,) = await levels_of(session, principal, [collection])
    return level >= Level.WRITE


INGEST_DOCUMENT = JobSpec(queue=INGESTION, run=ingest_document)


async def _try(context: JobContext, lease: Lease) -> None:
    """One try, and its outcome in the database."""
    leases, document = context.library.documents.leases, lease.document
    if lease.spent:
        code, message = document.error_code or INTERRUPTED, document.error_message or ENDED
        log.warning("document.parked", code=code, attempts=document.attempts)
        await leases.fail(lease, code, message)
        return
    try:
        with contained():
            await _bring_in(context, lease)
    except PlatformError as error:
        if error.retryable:
            await _retry_later(context, lease, error.code, error.message)
        else:
            log.info("document.failed", code=error.code)
            await leases.fail(lease, error.code, error.message)
    except Exception:  # the boundary of a job: whatever a loader or a store raises
        log.exception("document.crashed", attempt=document.attempts)
        await _retry_later(context, lease, "internal_error", "The document could not be processed.")


async def _bring_in(context: JobContext, lease: Lease) -> None:
    document = lease.document
    if document.source_url is not None:
        pipeline = await context.library.indexer.pipeline_of(Shelf.of(document))
        if not await _fetch(context, lease, pipeline):
            return
    while not await _index(context, lease):
        log.info("document.moved", revision=document.revision)


async def _index(context: JobContext, lease: Lease) -> bool:
    """Read the document, and have it found. False where its collection was moved meanwhile: then nothing is left of it where
    it was written to, and it is to be read again."""
    library, document = context.library, lease.document
    pipeline = await library.indexer.pipeline_of(Shelf.of(document))
    try:
        indexed = await library.indexer.index(document)
    except UnreadableFile as error:
        if error.code != ARCHIVE_FOUND:
            raise
        await library.unpacker.bring_in(lease, pipeline)
        return True
    try:
        await library.documents.leases.finish(lease, indexed, pipeline)
    except GenerationChanged:
        if indexed.generation is not None:
            kept = document.indexed_revision if document.indexed_revision != document.revision else 0
            await library.indexer.withdraw(indexed.generation, document.id, keep_revision=kept or None)
        return False
    return True


async def _fetch(context: JobContext, lease: Lease, pipeline: str) -> bool:
    """Get the content of the document's URL. False when that is what the stores hold already: then the document is ready."""
    from retrievers.fetching import fetch

    library, document = context.library, lease.document
    leases, files = library.documents.leases, library.resources.files
    content, _ = await fetch(document.source_url or "", settings=context.settings)
    digest = await asyncio.to_thread(lambda: hashlib.sha256(content).hexdigest())
    if document.file_key and document.content_hash == digest and document.indexed_revision and document.pipeline == pipeline:
        await leases.finish_unchanged(lease)
        return False
    key, replaced = f"{document.collection_id}/{document.id}/{new_id('original')()}", document.file_key
    await files.put(key, content, tenant=document.tenant)
    if not await leases.fetched(lease, file_key=key, content_hash=digest, size=len(content)):
        await files.delete(key)
        raise LeaseLost
    if replaced:
        await files.delete(replaced)
    return True


async def _retry_later(context: JobContext, lease: Lease, code: str, message: str) -> None:
    delay_s = RETRY_DELAYS_S[min(lease.document.attempts, len(RETRY_DELAYS_S)) - 1]
    if await context.library.documents.leases.retry(lease, code, message, delay_s=delay_s):
        log.info("document.retried", code=code, attempt=lease.document.attempts, delay_s=delay_s)
        await context.queue.send(
            INGEST, lease.document.id, lease.document.revision, queue=INGESTION, delay_ms=int(delay_s * 1000) + 100
        )


async def let_go(context: JobContext, lease: Lease) -> None:
    """Clean up after the try, then give the lease back. What is not cleaned up here, the sweeper does."""
    documents = context.library.documents
    try:
        document = await documents.leases.current(lease)
        if document is None:
            return
        await documents.tidy(document, lease=lease.id)
        await _delete_old_text(context, lease.document, document)
        released = await documents.leases.release(lease)
    except Exception:
        log.warning("document.not_released", exc_info=True)
        return
    if released is not None and released.state == DocumentState.QUEUED:
        await context.queue.send(INGEST, released.id, released.revision, queue=INGESTION)


async def _delete_old_text(context: JobContext, before: Document, now: Document) -> None:
    for old, new in ((before.text_key, now.text_key), (before.chunks_key, now.chunks_key)):
        if old and new != old:
            await context.library.resources.files.delete(old)
