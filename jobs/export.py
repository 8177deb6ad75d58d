"""An export of all that is held about somebody: a ZIP with JSON lines for each kind, and their files."""

import asyncio
import zipfile
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import structlog
from sqlmodel import col, delete

from core.data_requests import RequestLease, close, held
from core.database import utc_now
from core.errors import NotFound
from core.jobs import job_principal
from core.principals import Principal, Scope
from core.rights import REVOKED, REVOKED_MESSAGE, principal_now
from core.tables import Job, JobState, UnclaimedFile
from jobs.alive import LeaseLost
from jobs.base import JobContext
from jobs.export_parts import Parts

log = structlog.get_logger()

_DAYS = 7.0


async def export(context: JobContext, lease: RequestLease) -> None:
    """Write the export and close the request's job with where it is. May be repeated: a new try replaces a former one's file.

    Raises:
        LeaseLost: another worker has the request, or it is gone.
    """
    request = lease.request
    async with context.database.session(all_tenants=True) as session:
        principal = await principal_now(session, job_principal(await session.get_one(Job, request.job_id)))
    if principal is None or not may_export(principal, request.subject):
        await _failed(context, lease, REVOKED, REVOKED_MESSAGE)
        return
    if request.attempts > context.settings.jobs.max_attempts:
        await _failed(context, lease, "interrupted", "The export could not be written; the log has the reason.")
        return
    async with context.library.resources.files.scratch.adirectory("export") as place:
        archive = place / "export.zip"
        counts = await _write(context, Parts(context.database, request.subject_tenant, request.subject), archive, lease)
        await _store(context, lease, archive, counts)


def may_export(principal: Principal, subject: str) -> bool:
    """Whether somebody may have what is held about a subject of their tenant: their own, or as who manages users."""
    return principal.id == subject or principal.may(Scope.USERS_MANAGE)


async def _write(context: JobContext, parts: Parts, path: Path, lease: RequestLease) -> dict[str, int]:
    """How many there are of each kind."""
    files, tenant, counts = context.library.resources.files, lease.request.subject_tenant, Counter[str]()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, pages in parts.all.items():
            counts[name] = await _lines(archive, f"{name}.jsonl", pages())
        async for document in parts.documents():
            for what, key in (("original", document.file_key), ("text.txt", document.text_key)):
                await _file(archive, f"documents/{document.id}/{what}", files, key, tenant)
        async for file in parts.files():
            await _file(archive, f"files/{file.id}", files, file.key, tenant)
        about = {"subject": lease.request.subject, "tenant": tenant, "made_at": utc_now(), "counts": counts}
        await asyncio.to_thread(archive.writestr, "manifest.json", orjson.dumps(about, option=orjson.OPT_INDENT_2))
    return dict(counts)


async def _lines(archive: zipfile.ZipFile, name: str, pages: AsyncIterator[list[dict[str, Any]]]) -> int:
    number = 0
    with archive.open(name, "w", force_zip64=True) as target:
        async for page in pages:
            number += len(page)
            await asyncio.to_thread(target.write, b"".join(orjson.dumps(row, default=str) + b"\n" for row in page))
    return number


async def _file(archive: zipfile.ZipFile, name: str, files: Any, key: str, tenant: str) -> None:
    """One that was deleted meanwhile is left out."""
    if not key:
        return
    try:
        async with files.local(key, tenant=tenant) as path:
            await asyncio.to_thread(archive.write, path, name)
    except NotFound:
        log.info("export.file_gone")


async def _store(context: JobContext, lease: RequestLease, archive: Path, counts: dict[str, int]) -> None:
    request, database, files = lease.request, context.database, context.library.resources.files
    key = f"exports/{request.id}"
    async with database.transaction(all_tenants=True) as session:  # found by the sweeper, should we die before it is claimed
        await session.merge(UnclaimedFile(key=key, created_at=utc_now()))
    await files.put_file(key, archive, tenant=request.subject_tenant)
    size = (await asyncio.to_thread(archive.stat)).st_size
    retention = context.library.resources.models.policies.of(request.subject_tenant).retention
    async with database.transaction(all_tenants=True) as session:
        current = await held(session, lease)
        if current is not None:
            await session.exec(delete(UnclaimedFile).where(col(UnclaimedFile.key) == key))
            current.file_key, current.size = key, size
            current.expires_at = utc_now() + timedelta(days=retention.exports_days or _DAYS)
            href = f"/api/v1/users/{request.subject}/exports/{request.id}"
            told = {"export": request.id, "href": href, "bytes": size, "expires_at": current.expires_at.isoformat()}
            await close(session, current, JobState.SUCCEEDED, told | {"counts": counts})
    if current is None:
        await files.delete(key)
        raise LeaseLost
    log.info("export.written", bytes=size)


async def _failed(context: JobContext, lease: RequestLease, code: str, message: str) -> None:
    async with context.database.transaction(all_tenants=True) as session:
        current = await held(session, lease)
        if current is None:
            return
        job = await session.get_one(Job, current.job_id)
        job.errors = [{"document": lease.request.subject, "code": code, "message": message}]
        session.add(job)
        await session.flush()
        await close(session, current, JobState.FAILED, None)
    log.warning("export.failed", code=code)
