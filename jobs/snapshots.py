"""Taking a snapshot of a collection, and restoring one into a new collection."""

import asyncio
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from core import jobs
from core.data_requests import RequestLease, close, held
from core.database import utc_now
from core.errors import InvalidRequest, NotFound, PlatformError
from core.rights import REVOKED, REVOKED_MESSAGE, principal_now
from core.tables import Collection, DataRequest, Job, JobState, UnclaimedFile
from jobs.alive import LeaseLost
from jobs.base import JobContext
from jobs.erasure import NotYet
from retrievers.generations import GenerationChanged
from retrievers.sharing import Level, levels_of
from retrievers.snapshots import Restored, SnapshotReader, SnapshotWriter, Told, manifest_of

log = structlog.get_logger()

_DAYS = 7.0
#: Documents between two notes of how far it has come.
_TOLD_EVERY = 25


async def take_snapshot(context: JobContext, lease: RequestLease) -> None:
    """Write the snapshot, and close the request's job with where it is. May be repeated: a new try replaces a former file.

    Raises:
        LeaseLost: another worker has the request, or it is gone.
        NotYet: the files or the store do not answer.
    """
    async with _patiently(context, lease):
        collection = await _collection(context, lease)
        if collection is not None:
            await _write(context, lease, collection)


async def _write(context: JobContext, lease: RequestLease, collection: Collection) -> None:
    request = lease.request
    async with context.library.resources.files.scratch.adirectory("snapshot") as place:
        path = place / "snapshot.zip"
        counts = await SnapshotWriter(context.database, context.library.indexer, collection).write(
            path, _teller(context, lease)
        )
        key, files = f"snapshots/{request.id}", context.library.resources.files
        async with context.database.transaction(all_tenants=True) as session:  # found by the sweeper, should we die meanwhile
            await session.merge(UnclaimedFile(key=key, created_at=utc_now()))
        await files.put_file(key, path, tenant=request.subject_tenant)
        size = (await asyncio.to_thread(path.stat)).st_size
    days = context.library.resources.models.policies.of(request.subject_tenant).retention.exports_days or _DAYS
    async with context.database.transaction(all_tenants=True) as session:
        current = await held(session, lease)
        if current is not None:
            await session.exec(delete(UnclaimedFile).where(col(UnclaimedFile.key) == key))
            current.file_key, current.size = key, size
            current.expires_at = utc_now() + timedelta(days=days)
            told = {"snapshot": request.id, "href": f"/api/v1/rag/snapshots/{request.id}", "bytes": size}
            told |= {"documents": counts.documents, "chunks": counts.chunks, "left_out": counts.left_out}
            await close(session, current, JobState.SUCCEEDED, told | {"expires_at": current.expires_at.isoformat()})
    if current is None:
        await files.delete(key)
        raise LeaseLost
    log.info("snapshot.written", bytes=size, documents=counts.documents)


async def restore(context: JobContext, lease: RequestLease) -> None:
    """Bring a snapshot's documents into the collection that was made for them. May be repeated: it goes on with what is not
    there yet. Raises as `take_snapshot`."""
    async with _patiently(context, lease):
        collection = await _collection(context, lease)
        if collection is not None:
            await _restore(context, lease, collection)


async def _restore(context: JobContext, lease: RequestLease, collection: Collection) -> None:
    async with context.database.session(all_tenants=True) as session:
        job = await session.get_one(Job, lease.request.job_id)
        snapshot = await session.get(DataRequest, str(job.arguments["snapshot"]))
    if snapshot is None or not snapshot.file_key or snapshot.subject_tenant != lease.request.subject_tenant:
        await _failed(context, lease, "snapshot_not_found", "The snapshot is gone.")
        return
    try:
        restored = await _read(context, lease, collection, snapshot)
    except PlatformError as error:
        if error.retryable:
            raise
        await _failed(context, lease, error.code, error.message)
        return
    async with context.database.transaction(all_tenants=True) as session:
        current = await held(session, lease)
        if current is None:
            raise LeaseLost
        job = await session.get_one(Job, current.job_id)
        job.failed, job.errors = len(restored.taken), [_taken(name) for name in restored.taken[: jobs.MOST_ERRORS]]
        session.add(job)
        await session.flush()
        told = {"collection": collection.name, "documents": restored.documents, "left_out": len(restored.taken)}
        await close(session, current, JobState.SUCCEEDED, told)
    log.info("snapshot.restored", documents=restored.documents, left_out=len(restored.taken))


def _taken(name: str) -> dict[str, str]:
    return {"document": name, "code": "already_exists", "message": "The collection has another document of that name."}


async def _read(context: JobContext, lease: RequestLease, collection: Collection, snapshot: DataRequest) -> Restored:
    reader = SnapshotReader(context.database, context.library.indexer, collection)
    async with context.library.resources.files.local(snapshot.file_key, tenant=snapshot.subject_tenant) as path:
        try:
            manifest = await asyncio.to_thread(_manifest, path)
            await _describe(context, collection, manifest)
            while True:
                try:
                    return await reader.read(path, _teller(context, lease, total=int(manifest["documents"])))
                except GenerationChanged:
                    continue
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            raise InvalidRequest("This is no snapshot of a collection.", code="snapshot_unreadable") from error


def _manifest(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        return manifest_of(archive)


async def _describe(context: JobContext, collection: Collection, manifest: dict[str, Any]) -> None:
    async with context.database.transaction(collection.tenant) as session:
        row = await session.get(Collection, collection.id, with_for_update=True)
        if row is None or row.deleted_at is not None:
            raise NotFound("The collection was deleted.", code="collection_not_found")
        row.description, row.settings = str(manifest["description"]), dict(manifest["settings"])
        session.add(row)


async def _collection(context: JobContext, lease: RequestLease) -> Collection | None:
    """The collection, if whom the work is for may still manage it; else the request has failed."""
    request = lease.request
    async with context.database.session(all_tenants=True) as session:
        job = await session.get_one(Job, request.job_id)
        collection = await session.get(Collection, request.subject)
        principal = await principal_now(session, jobs.job_principal(job))
        if collection is not None and principal is not None and collection.deleted_at is None:
            (level,) = await levels_of(session, principal, [collection])
            if level >= Level.MANAGE and request.attempts <= context.settings.jobs.max_attempts:
                return collection
    if collection is None or collection.deleted_at is not None:
        await _failed(context, lease, "collection_not_found", "The collection was deleted.")
    elif request.attempts > context.settings.jobs.max_attempts:
        await _failed(context, lease, "interrupted", "It could not be brought to an end; the log has the reason.")
    else:
        await _failed(context, lease, REVOKED, REVOKED_MESSAGE)
    return None


def _teller(context: JobContext, lease: RequestLease, total: int | None = None) -> Told:
    last = 0

    async def told(done: int) -> None:
        nonlocal last
        if done - last < _TOLD_EVERY:
            return
        last = done
        async with context.database.transaction(all_tenants=True) as session:
            await _note(session, lease, done, total)

    return told


async def _note(session: AsyncSession, lease: RequestLease, done: int, total: int | None) -> None:
    job = await jobs.lock_job(session, lease.request.job_id)
    if job is None:
        raise LeaseLost
    job.total = max(job.total, total or done)
    session.add(job)
    await session.flush()
    await jobs.advance(session, job.id, done=done)


async def _failed(context: JobContext, lease: RequestLease, code: str, message: str) -> None:
    async with context.database.transaction(all_tenants=True) as session:
        current = await held(session, lease)
        if current is None:
            raise LeaseLost
        job = await session.get_one(Job, current.job_id)
        job.errors = [{"document": str(job.arguments.get("collection", "")), "code": code, "message": message}]
        session.add(job)
        await session.flush()
        await close(session, current, JobState.FAILED, None)
    log.warning("snapshot.failed", code=code)


@asynccontextmanager
async def _patiently(context: JobContext, lease: RequestLease) -> AsyncIterator[None]:
    """A try in which something was away does not count, and is followed by another."""
    try:
        yield
    except PlatformError as error:
        if not error.retryable:
            raise
        async with context.database.transaction(all_tenants=True) as session:
            if (current := await held(session, lease)) is not None:
                current.attempts -= 1
                session.add(current)
        raise NotYet(error.code) from error
