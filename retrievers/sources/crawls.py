"""Which sources are to be crawled, and which worker does: asked for, by schedule, given to one of several by lease.

A crawl is a job from the moment that it is asked for: `Source.job_id` names it while the crawl itself goes on, and the
documents that it has handed over are the job's parts. What is due and that no living worker has is taken up again.

Locks are taken in one order everywhere: the collection, the source, documents by name, jobs by id.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import and_, col, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import jobs
from core.database import Database, utc_now
from core.principals import Principal
from core.tables import Collection, Job, JobState, Source, SourceState
from retrievers.leases import pending
from retrievers.sources.schedules import next_after

#: What workers are called by.
CRAWL, QUEUE = "crawl_source", "crawls"


@dataclass(frozen=True, slots=True)
class CrawlLease:
    """The right to crawl `source`, a row detached from any session, as a part of `job`. `spent`: it has had its tries."""

    id: str
    source: Source
    collection: str
    job: Job
    spent: bool


class Crawls:
    """Belongs to the event loop of its database. Leases last `lease_s` seconds from their last sign of life."""

    def __init__(self, database: Database, *, lease_s: float, max_attempts: int) -> None:
        self._database = database
        self._lease_s, self._max_attempts = lease_s, max_attempts
        self._choosing = asyncio.Lock()

    async def due(self, limit: int) -> list[str]:
        """The sources that are to be crawled now and that no living worker has: those of tenants that no worker crawls for
        before the others, and those that were asked for first."""
        asked = col(Source.job_id).is_not(None)
        query = (
            select(Source.id)
            .join(Collection, col(Collection.id) == col(Source.collection_id))
            .outerjoin(Job, col(Job.id) == col(Source.job_id))
            .where(*_may_begin(), or_(asked, col(Source.next_at) <= utc_now()), col(Job.paused_at).is_(None))
            .order_by(col(Source.tenant).in_(_served()), asked.desc(), col(Source.next_at))
            .limit(limit)
        )
        async with self._database.session(all_tenants=True) as session:
            return list((await session.exec(query)).all())

    async def take(self, source_id: str) -> CrawlLease | None:
        """A lease, its try counted; None where there is nothing to do, another worker has it, or another tenant's turn is
        first: slow places of one are not to keep everybody's waiting. A time of the schedule that has come is used up, however
        many were missed."""
        async with self._choosing, self._database.transaction(all_tenants=True) as session:
            query = select(Source, Collection.name).join(Collection, col(Collection.id) == col(Source.collection_id))
            found = await session.exec(query.where(Source.id == source_id, *_may_begin()).with_for_update(of=Source))
            if (first := found.first()) is None:
                return None
            row, collection = first
            await session.refresh(row)
            now = utc_now()
            if row.lease is not None and row.leased_until is not None and row.leased_until > now:
                return None
            if await _others_are_first(session, row.tenant):
                return None
            job = await jobs.lock_job(session, row.job_id) if row.job_id else None
            if job is not None and (job.paused_at is not None or JobState(job.state).finished):
                return None
            due = row.next_at is not None and row.next_at <= now
            if job is None and not due:
                row.job_id = None
                return None
            if job is None:
                job = await begin(session, row, collection, Principal.from_job(row.principal))
            if due and row.schedule:
                row.next_at = next_after(row.schedule, now)
            spent = row.attempts >= self._max_attempts
            row.attempts += 0 if spent else 1
            row.lease, row.leased_until = secrets.token_hex(8), now + timedelta(seconds=self._lease_s)
            session.add(row)
            await jobs.begin(session, job.id)
        return CrawlLease(row.lease, row, collection, job, spent)

    async def renew(self, lease: CrawlLease) -> bool:
        """A sign of life. False once the crawl is of no use: cancelled, paused, deleted, or another's."""
        unfinished = select(Job.id).where(
            Job.id == lease.job.id,
            col(Job.state).in_((JobState.QUEUED, JobState.RUNNING)),
            col(Job.paused_at).is_(None),
        )
        paused = select(Collection.id).where(
            Collection.id == lease.source.collection_id, col(Collection.paused_at).is_not(None)
        )
        async with self._database.transaction(all_tenants=True) as session:
            renewed = await session.exec(
                update(Source)
                .where(_holds(lease), col(Source.paused_at).is_(None), unfinished.exists(), ~paused.exists())
                .values(leased_until=utc_now() + timedelta(seconds=self._lease_s))
            )
        return renewed.rowcount == 1

    async def release(self, lease: CrawlLease) -> None:
        """Give the lease back where the crawl has come to no end: that try does not count. No effect once it has ended."""
        async with self._database.transaction(all_tenants=True) as session:
            await session.exec(
                update(Source)
                .where(_holds(lease))
                .values(lease=None, leased_until=None, attempts=Source.attempts - (0 if lease.spent else 1))
            )

    async def end(
        self,
        lease: CrawlLease,
        result: Mapping[str, Any],
        errors: Sequence[Mapping[str, Any]],
        *,
        unread: int = 0,
        failed: bool = False,
    ) -> bool:
        """The crawl is over; what it has handed over goes on. `errors` are of what no document stands for, and so many files
        were as before, `unread`. It has `failed` as well where files were found and none of them could be read. False when the
        lease was lost meanwhile: nothing has changed."""
        async with self._database.transaction(all_tenants=True) as session:
            row = await held(session, lease)
            if row is None:
                return False
            well = not result.get("failed") or any(result.get(name) for name in ("new", "changed", "same"))
            state = SourceState.FAILED if failed or not well else SourceState.SUCCEEDED
            _ended(row, state, lease.job.id, dict(result))
            session.add(row)
            await session.flush()
            job = await jobs.lock_job(session, lease.job.id)
            if job is not None and not JobState(job.state).finished:
                job.result = dict(result)
                job.total += len(errors) + unread
                job.skipped += unread
                left = await pending(session, job.id)
                if errors:
                    await jobs.advance(session, job.id, done=job.total - left, errors=errors)
                await jobs.count(session, job.id, pending=left)
        return True


async def begin(session: AsyncSession, row: Source, collection: str, principal: Principal) -> Job:
    """The job of a crawl of the source, whose row is locked: the one that goes on, or a new one."""
    known = await jobs.lock_job(session, row.job_id) if row.job_id else None
    if known is not None and not JobState(known.state).finished:
        return known
    job = await jobs.open_job(
        session,
        principal,
        jobs.INGESTION,
        total=0,
        arguments={"collection": collection, "source": row.name, "source_id": row.id},
    )
    row.job_id, row.attempts = job.id, 0
    session.add(row)
    await session.flush()
    return job


async def held(session: AsyncSession, lease: CrawlLease) -> Source | None:
    """The row, locked until the transaction ends; None where the lease was lost meanwhile."""
    query = select(Source).where(_holds(lease)).with_for_update().execution_options(populate_existing=True)
    return (await session.exec(query)).first()


async def stop(session: AsyncSession, row: Source) -> str | None:
    """End the crawl of a source, whose row is locked, as cancelled; the job that it belonged to, which is still to be ended."""
    job_id = row.job_id
    if job_id is not None:
        _ended(row, SourceState.CANCELLED, job_id, None)
        session.add(row)
        await session.flush()
    return job_id


async def stop_below(session: AsyncSession, *conditions: ColumnElement[bool]) -> list[str]:
    """`stop` for all sources that fit the conditions."""
    query = select(Source).where(*conditions, col(Source.job_id).is_not(None)).order_by(Source.id).with_for_update()
    rows = (await session.exec(query.execution_options(populate_existing=True))).all()
    return [job_id for row in rows if (job_id := await stop(session, row)) is not None]


def _ended(row: Source, state: SourceState, job_id: str, result: dict[str, Any] | None) -> None:
    row.job_id = row.lease = row.leased_until = None
    row.attempts = 0
    row.crawls += 1
    row.last_at, row.last_state, row.last_job_id, row.last_result = utc_now(), state, job_id, result


def _may_begin() -> tuple[ColumnElement[bool], ...]:
    return (
        col(Source.paused_at).is_(None),
        col(Collection.paused_at).is_(None),
        col(Collection.deleted_at).is_(None),
        or_(col(Source.leased_until).is_(None), col(Source.leased_until) < utc_now()),
    )


def _served() -> Any:
    """The tenants that a worker crawls for now."""
    return select(Source.tenant).where(col(Source.lease).is_not(None), col(Source.leased_until) > utc_now())


async def _others_are_first(session: AsyncSession, tenant: str) -> bool:
    """Whether a worker crawls for the tenant already, and for none of those who wait, too."""
    if (await session.exec(_served().where(Source.tenant == tenant).limit(1))).first() is None:
        return False
    asked = and_(col(Job.state).in_((JobState.QUEUED, JobState.RUNNING)), col(Job.paused_at).is_(None))
    scheduled = and_(col(Job.id).is_(None), col(Source.next_at) <= utc_now())
    waiting = (
        select(Source.id)
        .join(Collection, col(Collection.id) == col(Source.collection_id))
        .outerjoin(Job, col(Job.id) == col(Source.job_id))
        .where(*_may_begin(), or_(asked, scheduled), col(Source.tenant).not_in(_served()))
    )
    return (await session.exec(waiting.limit(1))).first() is not None


def _holds(lease: CrawlLease) -> ColumnElement[bool]:
    return and_(col(Source.id) == lease.source.id, col(Source.lease) == lease.id)
