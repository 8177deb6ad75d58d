"""Requests to erase or to export all of somebody's data: made with their job, leased by workers, told of in the job's result.

The database is the truth: a request that is not finished, since its message was lost or its worker died, is taken up again.
What was found is counted in the transaction that deletes it, so that nothing is counted twice.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import and_, col, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import jobs
from core.database import Database, utc_now
from core.errors import NotFound
from core.principals import Principal
from core.tables import DataRequest, DataRequestKind, Job, JobState

#: What workers are called by.
RUN_DATA_REQUEST, QUEUE = "run_data_request", "data_requests"
#: The same for snapshots and what is restored of them: hours of work, which no erasure or export waits for.
RUN_SNAPSHOT, SNAPSHOTS = "run_snapshot", "snapshots"
_WITH_SNAPSHOTS = (DataRequestKind.SNAPSHOT.value, DataRequestKind.RESTORE.value)
_JOB_KINDS = {
    DataRequestKind.ERASE_USER: jobs.ERASURE,
    DataRequestKind.ERASE_TENANT: jobs.ERASURE,
    DataRequestKind.EXPORT: jobs.EXPORT,
    DataRequestKind.SNAPSHOT: jobs.SNAPSHOT,
    DataRequestKind.RESTORE: jobs.RESTORATION,
}
#: How much was found, by kind and place.
Found = Mapping[str, Mapping[str, int]]


async def open_request(
    session: AsyncSession,
    principal: Principal,
    kind: DataRequestKind,
    *,
    subject: str,
    subject_tenant: str,
    found: Found | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> tuple[DataRequest, Job]:
    """The request with its job, in the transaction of `session`: made now, or the one of this kind that is not finished yet.
    `arguments` are the job's, where it is no user or tenant that it is about."""
    if (known := await open_about(session, kind, subject)) is not None:
        return known, (await session.get_one(Job, known.job_id))
    told = "tenant" if kind is DataRequestKind.ERASE_TENANT else "user"
    about = {told: subject} if arguments is None else arguments
    job = await jobs.open_job(session, principal, _JOB_KINDS[kind], total=1, arguments=about)
    request = DataRequest(
        tenant=principal.tenant,
        job_id=job.id,
        kind=kind.value,
        subject=subject,
        subject_tenant=subject_tenant,
        found={kind: dict(places) for kind, places in (found or {}).items()},
    )
    session.add(request)
    await session.flush()
    return request, job


async def open_about(session: AsyncSession, kind: DataRequestKind, subject: str) -> DataRequest | None:
    """The request about somebody that is not finished; None where there is none."""
    query = select(DataRequest).where(
        DataRequest.kind == kind.value, DataRequest.subject == subject, col(DataRequest.finished_at).is_(None)
    )
    return (await session.exec(query.limit(1))).first()


@dataclass(slots=True)
class RequestLease:
    """The right to work on `request`, a row detached from any session. `again`: it was finished, and is looked at once more."""

    id: str
    request: DataRequest
    again: bool


class DataRequests:
    """What workers do with them, under leases of `lease_s` seconds, and how an export is found."""

    def __init__(self, database: Database, *, lease_s: float) -> None:
        self._database = database
        self._lease_s = lease_s

    async def take(self, request_id: str) -> RequestLease | None:
        """A lease; None where there is nothing to do, or another worker has it. Counts a try."""
        async with self._database.transaction(all_tenants=True) as session:
            request = await _locked(session, request_id)
            now = utc_now()
            if request is None or not _due(request, now) or (request.leased_until is not None and request.leased_until > now):
                return None
            lease = RequestLease(secrets.token_hex(8), request, again=request.finished_at is not None)
            request.lease, request.leased_until = lease.id, now + timedelta(seconds=self._lease_s)
            request.attempts += 1
            await jobs.begin(session, request.job_id)
        return lease

    async def renew(self, lease: RequestLease) -> bool:
        """A sign of life. False when the lease is lost."""
        async with self._database.transaction(all_tenants=True) as session:
            renewed = await session.exec(
                update(DataRequest)
                .where(col(DataRequest.id) == lease.request.id, col(DataRequest.lease) == lease.id)
                .values(leased_until=utc_now() + timedelta(seconds=self._lease_s))
            )
        return renewed.rowcount == 1

    async def release(self, lease: RequestLease, *, rest_s: float = 0) -> None:
        """Give the lease back; nobody takes the request for `rest_s` seconds."""
        rests = utc_now() + timedelta(seconds=rest_s) if rest_s else None
        async with self._database.transaction(all_tenants=True) as session:
            await session.exec(
                update(DataRequest)
                .where(col(DataRequest.id) == lease.request.id, col(DataRequest.lease) == lease.id)
                .values(lease=None, leased_until=rests)
            )

    async def waiting(self, *, all_of_them: bool = False, queue: str | None = None) -> list[str]:
        """Requests that no living worker has, those that wait in `queue` where it is named. `all_of_them` where no other worker
        can be alive: their leases end."""
        now = utc_now()
        free = or_(col(DataRequest.leased_until).is_(None), col(DataRequest.leased_until) < now)
        due = or_(col(DataRequest.finished_at).is_(None), col(DataRequest.settle_at) < now)
        query = select(DataRequest.id).where(and_(free, due)).order_by(col(DataRequest.created_at))
        if queue is not None:
            snapshots = col(DataRequest.kind).in_(_WITH_SNAPSHOTS)
            query = query.where(snapshots if queue == SNAPSHOTS else ~snapshots)
        if not all_of_them:
            async with self._database.session(all_tenants=True) as session:
                return list((await session.exec(query)).all())
        async with self._database.transaction(all_tenants=True) as session:
            held = update(DataRequest).where(col(DataRequest.leased_until).is_not(None))
            await session.exec(held.values(lease=None, leased_until=None))
            return list((await session.exec(query)).all())

    async def export(self, principal: Principal, subject: str, export_id: str) -> DataRequest:
        """An export that can be fetched now. Raises NotFound (`export_not_found`)."""
        async with self._database.session(principal.tenant) as session:
            request = await session.get(DataRequest, export_id)
        if (
            request is None
            or (request.kind, request.subject) != (DataRequestKind.EXPORT.value, subject)
            or not request.file_key
            or request.expires_at is None
            or request.expires_at <= utc_now()
        ):
            raise NotFound("There is no such export, or its time is over.", code="export_not_found")
        return request


async def held(session: AsyncSession, lease: RequestLease) -> DataRequest | None:
    """The request, locked until the transaction ends; None where another worker has it, or it is gone."""
    request = await _locked(session, lease.request.id)
    return request if request is not None and request.lease == lease.id else None


async def count(session: AsyncSession, lease: RequestLease, kind: str, place: str, number: int) -> bool:
    """Note what was found. False when the lease is lost: then the transaction is not to be committed."""
    request = await held(session, lease)
    if request is None:
        return False
    if number:
        places = dict(request.found.get(kind, {}))
        places[place] = places.get(place, 0) + number
        request.found = request.found | {kind: places}
        session.add(request)
        await session.flush()
    return True


async def close(session: AsyncSession, request: DataRequest, state: JobState, result: Mapping[str, Any] | None) -> None:
    """The request has ended, or was looked at again, and its job tells `result`. It is one that `held` gave."""
    job = await jobs.lock_job(session, request.job_id)
    if job is not None:
        job.result = None if result is None else dict(result)
        session.add(job)
        if not JobState(job.state).finished:
            await jobs.end(session, job, state)
    request.finished_at = request.finished_at or utc_now()
    session.add(request)


def listed(found: Found) -> list[dict[str, Any]]:
    """`{kind, place, count}` each."""
    return [
        {"kind": kind, "place": place, "count": number}
        for kind, places in sorted(found.items())
        for place, number in sorted(places.items())
    ]


def by_place(found: Found) -> dict[str, int]:
    """How much was found in each place."""
    sums: dict[str, int] = {}
    for places in found.values():
        for place, number in places.items():
            sums[place] = sums.get(place, 0) + number
    return sums


def _due(request: DataRequest, now: datetime) -> bool:
    return request.finished_at is None or (request.settle_at is not None and request.settle_at < now)


async def _locked(session: AsyncSession, request_id: str) -> DataRequest | None:
    query = select(DataRequest).where(DataRequest.id == request_id).with_for_update()
    return (await session.exec(query.execution_options(populate_existing=True))).first()
