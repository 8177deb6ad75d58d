"""Moving collections to another store or embedding model: asked for, worked on under a lease, switched, gone back, dropped.

The database is the truth: a generation that is `filling` or `dropping` and that no living worker has is taken up again.
Locks are taken in one order: a job, then a collection's number of changes, then its generations.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import zip_longest
from typing import Any

from sqlmodel import col, func, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit, jobs
from core.database import Database, utc_now
from core.principals import SYSTEM
from core.tables import CollectionUpkeep, GenerationState, IndexGeneration, Job, JobState
from retrievers.base import Shelf
from retrievers.generations import Generation
from retrievers.writers import reconcilers, writers

#: What workers are called by.
WORK, QUEUE = "work_on_generation", "reindexing"
#: A generation that was just active is not dropped yet: searches may have begun in it.
_IN_USE_FOR = timedelta(seconds=5)
_WORKED_ON = (GenerationState.FILLING.value, GenerationState.DROPPING.value)


@dataclass(frozen=True, slots=True)
class GenerationLease:
    """The right to work on a generation, whose row is detached. `job` is of who has asked for it, where that is known."""

    id: str
    row: IndexGeneration
    job: Job | None

    @property
    def generation(self) -> Generation:
        return Generation.of(self.row)


class Reindexing:
    """Belongs to the event loop of its database. Leases last `lease_s` seconds from their last sign of life."""

    def __init__(self, database: Database, *, lease_s: float) -> None:
        self._database = database
        self._lease_s = lease_s

    async def due(self, limit: int) -> list[str]:
        """The generations that are to be worked on and that no living worker has, those to be filled and those to be dropped
        in turn, the oldest first: neither waits behind all of the other. Those that were kept long enough are among them from
        now on."""
        now = utc_now()
        over = (
            col(IndexGeneration.state) == GenerationState.KEPT.value,
            col(IndexGeneration.kept_until) < now,
            or_(col(IndexGeneration.switched_at).is_(None), col(IndexGeneration.switched_at) < now - _IN_USE_FOR),
        )
        async with self._database.transaction(all_tenants=True) as session:
            await session.exec(update(IndexGeneration).where(*over).values(state=GenerationState.DROPPING.value))
            found: list[Sequence[str]] = []
            for state in _WORKED_ON:
                query = select(IndexGeneration.id).where(IndexGeneration.state == state, _is_free())
                found.append((await session.exec(query.order_by(col(IndexGeneration.created_at)).limit(limit))).all())
        return [one for pair in zip_longest(*found) for one in pair if one is not None][:limit]

    async def take_back(self) -> None:
        """Take all leases back, where no other worker can be alive."""
        async with self._database.transaction(all_tenants=True) as session:
            held = col(IndexGeneration.lease).is_not(None)
            await session.exec(update(IndexGeneration).where(held).values(lease=None, leased_until=None))

    async def take(self, generation_id: str) -> GenerationLease | None:
        """A lease, its try counted; None where there is nothing to do, or another worker has it."""
        async with self._database.transaction(all_tenants=True) as session:
            job, row = await _locked(session, generation_id)
            now = utc_now()
            if row is None or row.state not in _WORKED_ON or (row.leased_until is not None and row.leased_until > now):
                return None
            row.lease, row.leased_until = secrets.token_hex(8), now + timedelta(seconds=self._lease_s)
            row.attempts += 1
            session.add(row)
            if job is not None:
                await jobs.begin(session, job.id)
        return GenerationLease(row.lease, row, job)

    async def renew(self, lease: GenerationLease) -> bool:
        """A sign of life. False when the work is of no use any more: lease lost, cancelled, or the collection deleted."""
        return await self._change(lease, leased_until=utc_now() + timedelta(seconds=self._lease_s))

    async def release(self, lease: GenerationLease, *, rest_s: float = 0, counts: bool = True) -> None:
        """Give the lease back; nobody takes the generation for `rest_s` seconds. `counts`: whether the try does. No effect once
        the lease was lost."""
        rests = utc_now() + timedelta(seconds=rest_s) if rest_s else None
        again: dict[str, Any] = {} if counts else {"attempts": IndexGeneration.attempts - 1}
        async with self._database.transaction(all_tenants=True) as session:
            mine = (col(IndexGeneration.id) == lease.row.id, col(IndexGeneration.lease) == lease.id)
            await session.exec(update(IndexGeneration).where(*mine).values(lease=None, leased_until=rests, **again))

    async def advance(self, lease: GenerationLease, *, done: int = 0, **values: Any) -> bool:
        """It has come further, by `done` chunks; what is noted of that is in the lease's row too. False as with `renew`."""
        async with self._database.transaction(all_tenants=True) as session:
            job, row = await _locked(session, lease.row.id)
            if row is None or not _holds(lease, row):
                return False
            row.done, row.attempts = row.done + done, 1  # this one
            for name, value in values.items():
                setattr(row, name, value)
            session.add(row)
            await session.flush()
            if job is not None and done:
                await jobs.advance(session, job.id, done=min(job.total, await _done(session, job.id)))
        for name, value in values.items():
            setattr(lease.row, name, value)
        return True

    async def number(self, shelf: Shelf) -> int:
        """The collection's number of changes."""
        async with self._database.session(shelf.tenant) as session:
            row = await session.get(CollectionUpkeep, shelf.collection_id)
        return row.number if row is not None else 0

    async def switch(self, lease: GenerationLease) -> bool | None:
        """Questions are answered from the generation from now on, and what it takes the place of is kept. False where the
        collection has changed since it was brought up to it; None where the lease was lost: nothing has changed then."""
        async with self._database.transaction(all_tenants=True) as session:
            row = await session.get(IndexGeneration, lease.row.id)
            job = await jobs.lock_job(session, row.job_id) if row is not None and row.job_id else None
            upkeep = select(CollectionUpkeep).where(CollectionUpkeep.collection_id == lease.row.collection_id)
            now_at = (await session.exec(upkeep.with_for_update().execution_options(populate_existing=True))).first()
            row = await _row(session, lease.row.id)
            if row is None or not _holds(lease, row):
                return None
            number = now_at.number if now_at is not None else 0
            if row.number != number:
                return False
            former = IndexGeneration.state == GenerationState.ACTIVE.value
            query = select(IndexGeneration).where(IndexGeneration.collection_id == row.collection_id, former)
            now = utc_now()
            for old in (await session.exec(query.with_for_update())).all():
                old.state, old.switched_at, old.number = GenerationState.KEPT, now, number
                old.kept_until = now + timedelta(seconds=row.keep_s)
                session.add(old)
            await session.flush()
            row.state, row.switched_at, row.kept_until = GenerationState.ACTIVE, now, None
            row.lease, row.leased_until, row.done = None, None, row.total
            session.add(row)
            await session.flush()
            if job is not None:
                job.result = {"moved": int((job.result or {}).get("moved", 0)) + 1}
                session.add(job)
                await _count(session, job)
            who = replace(SYSTEM, tenant=row.tenant)
            details: dict[str, audit.Detail] = {"generation": row.id, "store": row.store, "model": row.model}
            on = ("collection", row.collection_id)
            await audit.record(session, audit.Action.COLLECTION_REINDEXED, on=on, details=details, principal=who)
        return True

    async def give_up(self, lease: GenerationLease, code: str, message: str) -> None:
        """The generation cannot be filled, and trying again would not help: it goes, or is kept on, where it was kept."""
        async with self._database.transaction(all_tenants=True) as session:
            job, row = await _locked(session, lease.row.id)
            if row is None or not _holds(lease, row):
                return
            _stop(row)
            session.add(row)
            await session.flush()
            if job is not None:
                named = str(job.arguments.get("collection") or row.collection_id)
                await jobs.advance(session, job.id, done=0, errors=[{"document": named, "code": code, "message": message}])
                await _count(session, job)

    async def writers(self, lease: GenerationLease) -> set[str]:
        """The leases of living workers that may have begun with the generation while it was active."""
        async with self._database.session(lease.row.tenant) as session:
            collection_id = lease.row.collection_id
            return await writers(session, collection_id) | await reconcilers(session, collection_id)

    async def gone(self, lease: GenerationLease) -> None:
        """The generation's chunks are deleted: so is its row."""
        async with self._database.transaction(all_tenants=True) as session:
            row = await _row(session, lease.row.id)
            if row is None or row.lease != lease.id:
                return
            who = replace(SYSTEM, tenant=row.tenant)
            details: dict[str, audit.Detail] = {"generation": row.id, "store": row.store}
            await session.delete(row)
            await session.flush()
            on = ("collection", row.collection_id)
            await audit.record(session, audit.Action.COLLECTION_GENERATION_DROPPED, on=on, details=details, principal=who)

    async def _change(self, lease: GenerationLease, **values: Any) -> bool:
        mine = (
            col(IndexGeneration.id) == lease.row.id,
            col(IndexGeneration.lease) == lease.id,
            col(IndexGeneration.state) == lease.row.state,
        )
        async with self._database.transaction(all_tenants=True) as session:
            changed = await session.exec(update(IndexGeneration).where(*mine).values(**values))
        return changed.rowcount == 1


async def cancel(session: AsyncSession, job: Job) -> None:
    """Nothing more is moved for the job, which is locked and has not ended. What was switched stays so."""
    for row in await _of_job(session, job.id):
        _stop(row)
        session.add(row)
    await jobs.end(session, job, JobState.CANCELLED)


async def end_reindexing(session: AsyncSession, collection_id: str) -> None:
    """A collection is being deleted, in the transaction of `session`: what moves it comes to nothing."""
    mine = (IndexGeneration.collection_id == collection_id, IndexGeneration.state == GenerationState.FILLING.value)
    row = (await session.exec(select(IndexGeneration).where(*mine))).first()
    if row is None:
        return
    job = await jobs.lock_job(session, row.job_id) if row.job_id else None
    row.state = GenerationState.DROPPING
    session.add(row)
    await session.flush()
    if job is not None:
        await _count(session, job)


async def is_worked_on(session: AsyncSession, collection_id: str) -> bool:
    """Whether a living worker writes to a generation of the collection."""
    query = select(IndexGeneration.id).where(
        IndexGeneration.collection_id == collection_id,
        col(IndexGeneration.lease).is_not(None),
        col(IndexGeneration.leased_until) > utc_now(),
    )
    return (await session.exec(query)).first() is not None


def _stop(row: IndexGeneration) -> None:
    """What was never used is dropped. What questions were answered from before is kept on, for as long as anew."""
    if row.switched_at is None:
        row.state = GenerationState.DROPPING
    else:
        row.state, row.kept_until = GenerationState.KEPT, utc_now() + timedelta(seconds=row.keep_s)


def _holds(lease: GenerationLease, row: IndexGeneration) -> bool:
    return row.lease == lease.id and row.state == GenerationState.FILLING


async def _locked(session: AsyncSession, generation_id: str) -> tuple[Job | None, IndexGeneration | None]:
    """A generation and its job, locked in this order."""
    named = (await session.exec(select(IndexGeneration.job_id).where(IndexGeneration.id == generation_id))).first()
    job = await jobs.lock_job(session, named) if named else None
    return job, await _row(session, generation_id)


async def _row(session: AsyncSession, generation_id: str) -> IndexGeneration | None:
    query = select(IndexGeneration).where(IndexGeneration.id == generation_id).with_for_update()
    return (await session.exec(query.execution_options(populate_existing=True))).first()


async def _of_job(session: AsyncSession, job_id: str) -> Sequence[IndexGeneration]:
    """Those that are still to be filled for a job."""
    mine = (IndexGeneration.job_id == job_id, IndexGeneration.state == GenerationState.FILLING.value)
    return (await session.exec(select(IndexGeneration).where(*mine).order_by(IndexGeneration.id).with_for_update())).all()


async def _done(session: AsyncSession, job_id: str) -> int:
    query = select(func.sum(IndexGeneration.done)).where(IndexGeneration.job_id == job_id)
    return int((await session.exec(query)).one() or 0)


async def _count(session: AsyncSession, job: Job) -> None:
    """A collection of the job is done with, one way or the other: the job ends with the last."""
    if JobState(job.state).finished:
        return
    if await _of_job(session, job.id):
        await jobs.advance(session, job.id, done=min(job.total, await _done(session, job.id)))
        return
    moved = int((job.result or {}).get("moved", 0))
    ended = JobState.FAILED if job.failed else JobState.CANCELLED  # their collections were deleted
    await jobs.end(session, job, JobState.SUCCEEDED if moved else ended)


def _is_free() -> Any:
    return or_(col(IndexGeneration.leased_until).is_(None), col(IndexGeneration.leased_until) < utc_now())
