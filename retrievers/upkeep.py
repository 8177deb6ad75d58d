"""Which collections are to be reconciled: those that somebody has asked for, and each from time to time.

The database is the truth: what is due and that no living worker has is taken up again.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlmodel import and_, col, func, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit, jobs
from core.database import Database, utc_now
from core.principals import Principal
from core.tables import Collection, CollectionUpkeep, Document, Job, JobState, Tenant
from retrievers.base import Shelf
from retrievers.changes import upkeep_of

#: What workers are called by.
RECONCILE, QUEUE = "reconcile_collection", "upkeep"
#: Among a job's arguments: its collection was put back from a backup.
_RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class UpkeepLease:
    """The right to reconcile a collection. `job` is of who has asked for it; None where it is its time."""

    id: str
    shelf: Shelf
    collection: str
    job: Job | None


class Upkeep:
    """Belongs to the event loop of its database. Leases last `lease_s` seconds from their last sign of life."""

    def __init__(self, database: Database, *, lease_s: float) -> None:
        self._database = database
        self._lease_s = lease_s

    async def ask(self, principal: Principal, collection: Collection, *, restored: bool = False) -> Job:
        """A job that reconciles the collection: made now, which is put on record, or the one that has not ended yet.
        `restored`: its database is of a backup, so that passages are missing until the job has ended."""
        async with self._database.transaction(collection.tenant) as session:
            await upkeep_of(session, collection.tenant, collection.id)
            row = await _locked(session, collection.id)
            known = await session.get(Job, row.job_id) if row is not None and row.job_id else None
            if known is not None and not JobState(known.state).finished:
                return known
            job = await jobs.open_job(
                session,
                principal,
                jobs.RECONCILIATION,
                total=await _documents(session, collection.id),
                arguments={"collection": collection.name} | ({_RESTORED: True} if restored else {}),
            )
            if row is not None:
                row.job_id = job.id
                session.add(row)
            on, details = ("collection", collection.id), dict[str, audit.Detail](job=job.id)
            await audit.record(session, audit.Action.COLLECTION_RECONCILED, on=on, details=details, principal=principal)
        return job

    async def due(self, *, every_s: float, limit: int) -> list[str]:
        """The collections that are to be reconciled and that no living worker has, those that were asked for first. `every_s`
        of 0: none by itself, as those of a tenant that is closed."""
        now = utc_now()
        asked = col(CollectionUpkeep.job_id).is_not(None)
        old = col(CollectionUpkeep.reconciled_at) < now - timedelta(seconds=every_s)
        free = or_(col(CollectionUpkeep.leased_until).is_(None), col(CollectionUpkeep.leased_until) < now)
        closed = col(CollectionUpkeep.tenant).in_(select(Tenant.id).where(col(Tenant.disabled_at).is_not(None)))
        query = (
            select(CollectionUpkeep.collection_id)
            .outerjoin(Job, col(CollectionUpkeep.job_id) == col(Job.id))
            .where(CollectionUpkeep.collection_id == Collection.id, col(Collection.deleted_at).is_(None))
            .where(free, or_(asked, and_(old, ~closed)) if every_s else asked)
            .order_by(asked.desc(), col(Job.created_at), col(CollectionUpkeep.reconciled_at))
            .limit(limit)
        )
        async with self._database.session(all_tenants=True) as session:
            return list((await session.exec(query)).all())

    async def take(self, collection_id: str, *, every_s: float) -> UpkeepLease | None:
        """A lease; None where there is nothing to do, or another worker has it."""
        async with self._database.transaction(all_tenants=True) as session:
            row = await _locked(session, collection_id)
            now = utc_now()
            if row is None or (row.leased_until is not None and row.leased_until > now):
                return None
            asked = row.job_id is not None
            if not asked and not (every_s and row.reconciled_at < now - timedelta(seconds=every_s)):
                return None
            collection, tenant = await session.get_one(Collection, collection_id), await session.get(Tenant, row.tenant)
            if collection.deleted_at is not None or not (asked or tenant is None or tenant.disabled_at is None):
                return None
            row.lease, row.leased_until = secrets.token_hex(8), now + timedelta(seconds=self._lease_s)
            session.add(row)
            job = await jobs.lock_job(session, row.job_id) if row.job_id else None
            if job is not None and not JobState(job.state).finished:
                job.total = await _documents(session, collection_id)
                session.add(job)
                await jobs.begin(session, job.id)
        return UpkeepLease(row.lease, Shelf(row.tenant, collection_id), collection.name, job)

    async def renew(self, lease: UpkeepLease) -> bool:
        """A sign of life. False when the lease is lost."""
        return await self._change(lease, leased_until=utc_now() + timedelta(seconds=self._lease_s))

    async def release(self, lease: UpkeepLease, *, rest_s: float = 0) -> None:
        """Give the lease back; nobody takes the collection for `rest_s` seconds. No effect once it has ended."""
        rests = utc_now() + timedelta(seconds=rest_s) if rest_s else None
        await self._change(lease, lease=None, leased_until=rests)

    async def end(self, lease: UpkeepLease, state: JobState, result: dict[str, Any] | None) -> bool:
        """It is done, or has failed for good; its job tells `result`. False when the lease is lost: nothing has changed."""
        async with self._database.transaction(all_tenants=True) as session:
            row = await _locked(session, lease.shelf.collection_id)
            if row is None or row.lease != lease.id:
                return False
            if lease.job is not None and row.job_id == lease.job.id:
                job = await jobs.lock_job(session, lease.job.id)
                if job is not None and not JobState(job.state).finished:
                    job.result = result
                    await jobs.end(session, job, state)
                row.job_id = None
            row.reconciled_at, row.lease, row.leased_until = utc_now(), None, None
            session.add(row)
        return True

    async def _change(self, of: UpkeepLease, **values: Any) -> bool:
        async with self._database.transaction(all_tenants=True) as session:
            changed = await session.exec(
                update(CollectionUpkeep)
                .where(
                    and_(
                        col(CollectionUpkeep.collection_id) == of.shelf.collection_id,
                        col(CollectionUpkeep.lease) == of.id,
                    )
                )
                .values(**values)
            )
        return changed.rowcount == 1


async def missing_documents(session: AsyncSession, collection_id: str) -> int:
    """How many documents of a collection that was put back from a backup may still be without their passages."""
    query = (
        select(Job)
        .join(CollectionUpkeep, col(CollectionUpkeep.job_id) == col(Job.id))
        .where(CollectionUpkeep.collection_id == collection_id)
    )
    job = (await session.exec(query)).first()
    if job is None or JobState(job.state).finished or not job.arguments.get(_RESTORED):
        return 0
    return max(1, job.total - job.done)


async def end_reconciliation(session: AsyncSession, collection_id: str) -> None:
    """A collection is being deleted, in the transaction of `session`: what reconciles it comes to nothing."""
    row = await _locked(session, collection_id)
    if row is None or row.job_id is None:
        return
    job = await jobs.lock_job(session, row.job_id)
    if job is not None and not JobState(job.state).finished:
        await jobs.end(session, job, JobState.CANCELLED)
    row.job_id = None
    session.add(row)


async def _locked(session: AsyncSession, collection_id: str) -> CollectionUpkeep | None:
    query = select(CollectionUpkeep).where(CollectionUpkeep.collection_id == collection_id).with_for_update()
    return (await session.exec(query.execution_options(populate_existing=True))).first()


async def _documents(session: AsyncSession, collection_id: str) -> int:
    query = select(func.count()).select_from(Document).where(Document.collection_id == collection_id)
    return (await session.exec(query)).one()
