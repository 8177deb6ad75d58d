"""Erasing all of a user's or a tenant's data: rows, vectors, word indexes, files, cached answers, and at last the keys.

Each step may be repeated, and an erasure that was cut short begins at its first step again: what is gone is not found any more.
What was found is counted together with its deletion. A while after its end it is done once more, for what requests that were
being answered at its beginning have written since.
"""

import asyncio
from datetime import timedelta

import structlog
from sqlmodel import col, delete, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit
from core.belongings import Belonging, of_tenant, of_user
from core.data_requests import RequestLease, by_place, close, count, held, listed
from core.database import utc_now
from core.errors import PlatformError
from core.jobs import ERASURE
from core.ledger.erasure import Position, Words
from core.stored_files import drop_unclaimed, let_go
from core.tables import (
    AccessEpoch,
    Collection,
    DataRequest,
    DataRequestKind,
    Document,
    DocumentState,
    Job,
    JobState,
    StoredFile,
    Tenant,
)
from core.threads import run_to_end
from jobs.alive import LeaseLost
from jobs.base import JobContext
from retrievers.base import Shelf
from retrievers.collections import condemn
from retrievers.leases import PENDING

log = structlog.get_logger()

_FILES_AT_ONCE = 100
_WITH_FILES = (DataRequestKind.EXPORT, DataRequestKind.SNAPSHOT)
#: Seconds more than the longest request, after which nothing can be written any more for who was shut out.
_SETTLE_S = 60.0


class NotYet(Exception):
    """Something still holds what is to be erased: the rest is done in a while."""


async def erase(context: JobContext, lease: RequestLease) -> None:
    """Erase, and close the request's job with what was found where. May be repeated.

    Raises:
        NotYet: a worker still holds a document, or a store is away.
        LeaseLost: another worker has the request.
    """
    work = _Erasure(context, lease)
    try:
        await work.run()
    except PlatformError as error:
        if error.retryable:
            raise NotYet(error.code) from error
        raise


class _Erasure:
    """One run."""

    def __init__(self, context: JobContext, lease: RequestLease) -> None:
        self._context, self._lease, self._request = context, lease, lease.request
        self._database = context.database
        self._library = context.library
        self._tenant, self._subject = lease.request.subject_tenant, lease.request.subject
        self._whole_tenant = lease.request.kind == DataRequestKind.ERASE_TENANT

    async def run(self) -> None:
        await asyncio.to_thread(self._library.resources.files.scratch.sweep)
        await self._stop_ingestions()
        await self._name_nobody()
        await self._requests(*_WITH_FILES)
        await self._files()
        await self._collections()
        await self._requests(DataRequestKind.RESTORE)  # whose leases the collections wait for
        await self._cache()
        await self._ledger()
        for belonging in of_tenant(self._tenant) if self._whole_tenant else of_user(self._tenant, self._subject):
            await self._rows(belonging)
        await self._addresses()
        if self._whole_tenant:
            await self._keys()
        await self._scrub()
        await self._finish()

    async def _stop_ingestions(self) -> None:
        """What the user has documents read for stops; those in others' collections stay as they are."""
        if self._whole_tenant:
            return  # closed: workers leave its documents alone
        theirs = select(Job.id).where(Job.tenant == self._tenant, Job.owner == self._subject)
        waiting = (
            col(Document.tenant) == self._tenant,
            col(Document.state).in_(PENDING),
            col(Document.job_id).in_(theirs),
        )
        failed = {"state": DocumentState.FAILED, "error_code": "cancelled", "error_message": "The job was cancelled."}
        async with self._database.transaction(all_tenants=True) as session:
            await session.exec(select(Document.id).where(*waiting).order_by(Document.name).with_for_update())
            await session.exec(update(Document).where(*waiting).values(**failed, updated_at=utc_now()))

    async def _name_nobody(self) -> None:
        """Erasures that the subject asked for go on; that they did is told by their identifier alone."""
        if self._whole_tenant:
            return
        mine = (col(Job.tenant) == self._tenant, col(Job.owner) == self._subject, col(Job.kind) == ERASURE)
        async with self._database.transaction(all_tenants=True) as session:
            for job in (await session.exec(select(Job).where(*mine).with_for_update())).all():
                job.principal = job.principal | {"name": self._subject}
                session.add(job)

    async def _requests(self, *kinds: DataRequestKind) -> None:
        """Exports of the subject's data, whoever asked for them, and those that they asked for; snapshots of their collections,
        and what is being restored, too."""
        owned = col(Job.arguments)["owner"].as_string() == self._subject
        asked = select(Job.id).where(Job.tenant == self._tenant, or_(col(Job.owner) == self._subject, owned))
        about = (col(DataRequest.subject_tenant) == self._tenant, col(DataRequest.kind).in_([kind.value for kind in kinds]))
        theirs = or_(col(DataRequest.subject) == self._subject, col(DataRequest.job_id).in_(asked))
        mine = about if self._whole_tenant else (*about, theirs)
        async with self._database.transaction(all_tenants=True) as session:
            rows = (await session.exec(select(DataRequest).where(*mine).with_for_update())).all()
            await let_go(session, [row.file_key for row in rows if row.file_key])
            await self._count(session, "exports", "files", sum(bool(row.file_key) for row in rows))
            await self._count(session, "exports", "database", len(rows))
            await session.exec(delete(DataRequest).where(col(DataRequest.id).in_([row.id for row in rows])))
        await self._drop_bytes()

    async def _files(self) -> None:
        mine = [col(StoredFile.tenant) == self._tenant]
        if not self._whole_tenant:
            mine.append(col(StoredFile.owner) == self._subject)
        while True:
            async with self._database.transaction(all_tenants=True) as session:
                rows = (await session.exec(select(StoredFile).where(*mine).limit(_FILES_AT_ONCE))).all()
                await let_go(session, [row.key for row in rows])
                await session.exec(delete(StoredFile).where(col(StoredFile.id).in_([row.id for row in rows])))
                await self._count(session, "stored_files", "database", len(rows))
                await self._count(session, "stored_files", "files", len(rows))
            await self._drop_bytes()
            if len(rows) < _FILES_AT_ONCE:
                return

    async def _drop_bytes(self) -> None:
        await drop_unclaimed(self._database, self._library.resources.files)

    async def _collections(self) -> None:
        mine = [col(Collection.tenant) == self._tenant]
        if not self._whole_tenant:
            mine.append(col(Collection.owner) == self._subject)
        async with self._database.session(all_tenants=True) as session:
            rows = (await session.exec(select(Collection).where(*mine))).all()
        waiting = 0
        for row in rows:
            shelf = Shelf.of(row)
            if row.deleted_at is None:
                await self._condemn(shelf)
            if not await self._library.collections.purge(shelf):
                waiting += 1
        if waiting:
            raise NotYet(f"{waiting} collections with documents that are being read")

    async def _condemn(self, shelf: Shelf) -> None:
        places = await self._library.collections.held(shelf)
        async with self._database.transaction(all_tenants=True) as session:
            row = await session.get(Collection, shelf.collection_id, with_for_update=True)
            if row is None or row.deleted_at is not None:
                return
            documents = await session.exec(select(Document.id).where(Document.collection_id == row.id))
            await condemn(session, row)
            await self._count(session, "collections", "database", 1)
            await self._count(session, "documents", "database", len(documents.all()))
            for place, number in places.items():
                await self._count(session, "documents", place, number)

    async def _cache(self) -> None:
        """Whose question an answer was made for is not known: all of the tenant's go."""
        dropped = await self._library.resources.models.answers.drop(self._tenant)
        async with self._database.transaction(all_tenants=True) as session:
            await self._count(session, "answers", "cache", dropped)

    async def _ledger(self) -> None:
        """Of a user's requests the amounts stay, and no word that they chose. While their keys are there: see `of_user`."""
        if self._whole_tenant:
            return  # all of it goes
        words = Words(self._tenant, self._subject)
        after: Position | None = None
        while True:
            async with self._database.transaction(all_tenants=True) as session:
                cleared, after = await words.clear_some(session, after)
                await self._count(session, "ledger", "database", cleared)
            if after is None:
                break
        async with self._database.transaction(all_tenants=True) as session:
            await self._count(session, "ledger_adjustments", "database", await words.clear_adjustments(session))

    async def _rows(self, belonging: Belonging) -> None:
        dropped = 1
        while dropped:
            async with self._database.transaction(all_tenants=True) as session:
                dropped = await belonging.drop_some(session)
                await self._count(session, belonging.kind, "database", dropped)

    async def _addresses(self) -> None:
        """Of the audit log identifiers stay, which name nobody any more."""
        async with self._database.transaction(all_tenants=True) as session:
            if await held(session, self._lease) is None:  # before the chain, whose writers wait from the erasure on
                raise LeaseLost
            actor = None if self._whole_tenant else self._subject
            erased = await audit.erase_addresses(session, self._tenant, actor)
            await self._count(session, "addresses", "audit_log", erased)

    async def _keys(self) -> None:
        """From here on no backup of what was sealed for the tenant can be read, but with a backup of its keys."""
        destroyed = await asyncio.to_thread(self._database.keyring.destroy, self._tenant)
        async with self._database.transaction(all_tenants=True) as session:
            await self._count(session, "data_keys", "database", destroyed)
            await session.exec(delete(Tenant).where(col(Tenant.id) == self._tenant))
            # every process looks at the tenants anew, and lets go of the keys in its memory
            await session.exec(update(AccessEpoch).where(col(AccessEpoch.id) == 1).values(value=AccessEpoch.value + 1))

    async def _scrub(self) -> None:
        """Nothing is left in free pages and logs of changes either."""
        await run_to_end(self._library.resources.scrub)
        await self._library.resources.models.answers.scrub()
        if not await self._database.scrub():
            log.info("erasure.not_scrubbed")  # a reader was quicker; SQLite writes over it, and so does the second look

    async def _finish(self) -> None:
        longest_s = self._context.settings.timeouts.total + _SETTLE_S
        async with self._database.transaction(all_tenants=True) as session:
            request = await held(session, self._lease)
            if request is None:
                raise LeaseLost
            request.settle_at = None if self._lease.again else utc_now() + timedelta(seconds=longest_s)
            await close(session, request, JobState.SUCCEEDED, {"found": listed(request.found)})
            if not self._lease.again:
                what = "tenant" if self._whole_tenant else "user"
                details: dict[str, audit.Detail] = dict(by_place(request.found))
                await audit.record(session, audit.Action.ERASURE_FINISHED, on=(what, self._subject), details=details)
        log.info("erasure.finished", again=self._lease.again, **by_place(request.found))

    async def _count(self, session: AsyncSession, kind: str, place: str, number: int) -> None:
        """Raises LeaseLost, which rolls the transaction back."""
        if not await count(session, self._lease, kind, place, number):
            raise LeaseLost
