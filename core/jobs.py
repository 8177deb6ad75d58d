"""Jobs as callers see them: opened with their work, counted on as its parts end, told of in numbered events.

The functions work inside the caller's transaction, so that a part's end, the job's count and its event become true at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.event import listen
from sqlmodel import and_, col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import metrics, traces
from core.context import current
from core.database import Database, utc_now
from core.errors import InvalidRequest, NotFound
from core.principals import SYSTEM, Principal, Scope
from core.tables import Job, JobEvent, JobState

INGESTION, BATCH, ERASURE, EXPORT, RECONCILIATION = "ingestion", "batch", "erasure", "export", "reconciliation"
REINDEXING, SNAPSHOT, RESTORATION = "reindexing", "snapshot", "restoration"
EVALUATION = "evaluation"
#: Who sees others' jobs of a kind as well. Of another kind, its owner alone sees it.
_MANAGING = {
    INGESTION: Scope.RAG_MANAGE,
    RECONCILIATION: Scope.RAG_MANAGE,
    REINDEXING: Scope.RAG_MANAGE,
    SNAPSHOT: Scope.RAG_MANAGE,
    RESTORATION: Scope.RAG_MANAGE,
    BATCH: Scope.BATCHES_MANAGE,
    ERASURE: Scope.USERS_MANAGE,
    EVALUATION: Scope.EVALS_MANAGE,
}
#: Jobs on a collection, which `arguments` names.
_ON_COLLECTIONS = (INGESTION, RECONCILIATION, REINDEXING, SNAPSHOT, RESTORATION)
#: `errors` keeps the first ones; `failed` counts all.
MOST_ERRORS = 1000


def job_view(job: Job) -> dict[str, Any]:
    """A job in the public shape: state, progress and errors, times in ISO 8601."""
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "paused": job.paused_at is not None,
        "progress": {"done": job.done, "total": job.total},
        "failed": job.failed,
        "skipped": job.skipped,
        "removed": job.removed,
        "errors": job.errors,
        "result": job.result,
        "arguments": job.arguments,
        "created_at": _written(job.created_at),
        "started_at": _written(job.started_at),
        "finished_at": _written(job.finished_at),
    }


def _written(moment: datetime | None) -> str | None:
    """As pydantic writes it: `2026-01-02T03:04:05.678901Z`."""
    return moment.isoformat().replace("+00:00", "Z") if moment is not None else None


async def open_job(
    session: AsyncSession, principal: Principal, kind: str, *, total: int, arguments: Mapping[str, Any] | None = None
) -> Job:
    """A new job of `total` parts, with its first event."""
    job = Job(
        tenant=principal.tenant,
        owner=principal.id,
        principal=principal.to_job(),
        kind=kind,
        total=total,
        arguments=dict(arguments or {}),
        traceparent=traces.carried(),
    )
    session.add(job)
    await session.flush()
    current().job_id = job.id
    await tell(session, job, "progress")
    return job


async def lock_job(session: AsyncSession, job_id: str) -> Job | None:
    """The job, locked until the transaction ends; None when there is none."""
    found = await session.exec(select(Job).where(Job.id == job_id).with_for_update().execution_options(populate_existing=True))
    return found.first()


async def tell(session: AsyncSession, job: Job, event: str, data: Mapping[str, Any] | None = None) -> None:
    """Append an event. The job's row is locked or new, so that numbers have no gap and no double."""
    last = (await session.exec(select(func.max(JobEvent.number)).where(JobEvent.job_id == job.id))).one()
    counts = {"done": job.done, "total": job.total, "failed": job.failed, "skipped": job.skipped, "removed": job.removed}
    body = {"state": job.state} | counts | dict(data or {})
    session.add(JobEvent(job_id=job.id, number=(last or 0) + 1, event=event, data=body))
    await session.flush()


async def begin(session: AsyncSession, job_id: str) -> None:
    """The first part is taken up: the job runs. No effect on one that runs or has ended."""
    job = await lock_job(session, job_id)
    if job is not None and job.state == JobState.QUEUED:
        job.state = JobState.RUNNING
        job.started_at = utc_now()
        await tell(session, job, "progress")


async def count(
    session: AsyncSession,
    job_id: str,
    *,
    pending: int,
    part: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
    skipped: int = 0,
    removed: int = 0,
) -> None:
    """A part has ended and `pending` are left. `part` says which; `error` (`document`, `code`, `message`) why it failed;
    `skipped` how many parts had nothing to do, `removed` how many were deleted before their turn.

    The job ends with its last part: as cancelled where all were removed, as failed where none was done otherwise, else as
    succeeded. A job that has ended stays as it is. One that waits begins with the first part that ends by itself.
    """
    job = await lock_job(session, job_id)
    if job is None or JobState(job.state).finished:
        return
    job.done = max(job.done, job.total - pending)
    job.skipped += skipped
    job.removed += removed
    if error is not None:
        job.failed += 1
        if len(job.errors) < MOST_ERRORS:
            job.errors = [*job.errors, dict(error)]
    if job.state == JobState.QUEUED and part is not None:
        job.state = JobState.RUNNING
        job.started_at = utc_now()
    if pending > 0:
        await tell(session, job, "progress", {"document": dict(part)} if part else None)
        return
    if part:
        await tell(session, job, "progress", {"document": dict(part)})
    await end(session, job, _outcome(job))


def _outcome(job: Job) -> JobState:
    if job.removed and job.removed >= job.total:
        return JobState.CANCELLED
    return JobState.FAILED if job.failed and job.failed + job.removed >= job.total else JobState.SUCCEEDED


async def advance(session: AsyncSession, job_id: str, *, done: int, errors: Sequence[Mapping[str, Any]] = ()) -> None:
    """`done` parts have ended by now, the newly failed ones with `errors`. The job goes on until it is ended."""
    job = await lock_job(session, job_id)
    if job is None or JobState(job.state).finished:
        return
    job.done = max(job.done, done)
    job.failed += len(errors)
    if errors and len(job.errors) < MOST_ERRORS:
        job.errors = [*job.errors, *map(dict, errors)][:MOST_ERRORS]
    await tell(session, job, "progress")


async def end(session: AsyncSession, job: Job, state: JobState) -> None:
    """Close the job, with the event `done` that carries all of it."""
    job.state = state
    job.started_at = job.started_at or utc_now()
    job.finished_at = utc_now()
    if state is not JobState.CANCELLED:
        job.done = job.total
    session.add(job)
    await session.flush()
    await tell(session, job, "done", {"job": job_view(job)})
    if metrics.are_counted():
        _count_once_committed(session, job)


def _count_once_committed(session: AsyncSession, job: Job) -> None:
    """What is rolled back has not ended."""
    began, ended = job.started_at or job.created_at, job.finished_at or utc_now()
    kind, outcome = job.kind, str(job.state)
    waited_s, ran_s = (began - job.created_at).total_seconds(), (ended - began).total_seconds()

    def tell_metrics(_: object) -> None:
        metrics.job_ended(kind, outcome, waited_s=waited_s, ran_s=ran_s)

    listen(session.sync_session, "after_commit", tell_metrics, once=True)


def job_principal(job: Job) -> Principal:
    """Whom the job is worked on for. One of before jobs kept it is worked on as the platform's own."""
    return Principal.from_job(job.principal) if job.principal else replace(SYSTEM, tenant=job.tenant)


def seen_by(principal: Principal) -> ColumnElement[bool]:
    """The condition of a job of their tenant that the principal may see: their own, and others' of what they manage; with a
    key for some collections, of these alone."""
    managed = [kind for kind, scope in _MANAGING.items() if principal.may(scope)]
    condition = or_(col(Job.owner) == principal.id, col(Job.kind).in_(managed))
    if principal.collections is not None:
        into = col(Job.arguments)["collection"].as_string()
        condition = and_(condition, or_(col(Job.kind).not_in(_ON_COLLECTIONS), into.in_(principal.collections)))
    return condition


class Jobs:
    """Reading jobs. What a principal may not see is not found."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, principal: Principal, job_id: str) -> Job:
        """Raises NotFound (`job_not_found`)."""
        query = select(Job).where(Job.id == job_id, Job.tenant == principal.tenant, seen_by(principal))
        async with self._database.session(principal.tenant) as session:
            job = (await session.exec(query)).first()
        if job is None:
            raise NotFound("There is no such job.", code="job_not_found")
        return job

    async def page(
        self, principal: Principal, *, limit: int, after: str | None = None, state: JobState | None = None
    ) -> tuple[list[Job], str | None]:
        """The newest first, and the position that the next page starts after."""
        query = select(Job).where(Job.tenant == principal.tenant, seen_by(principal))
        if state is not None:
            query = query.where(Job.state == state.value)
        if after is not None:
            query = query.where(await self._older_than(principal, after))
        async with self._database.session(principal.tenant) as session:
            rows = (await session.exec(query.order_by(col(Job.created_at).desc(), col(Job.id).desc()).limit(limit + 1))).all()
        found = list(rows[:limit])
        return found, found[-1].id if len(rows) > limit else None

    async def _older_than(self, principal: Principal, job_id: str) -> ColumnElement[bool]:
        try:
            last = await self.get(principal, job_id)
        except NotFound:
            raise InvalidRequest("The cursor is not one that this list gave.", code="invalid_cursor", param="cursor") from None
        same_moment = and_(col(Job.created_at) == last.created_at, col(Job.id) < last.id)
        return or_(col(Job.created_at) < last.created_at, same_moment)

    async def events(self, job: Job, after: int) -> list[JobEvent]:
        """The events of a job with a number above `after`, in order, at most 500 of them."""
        async with self._database.session(job.tenant) as session:
            rows = await session.exec(
                select(JobEvent)
                .where(JobEvent.job_id == job.id, col(JobEvent.number) > after)
                .order_by(col(JobEvent.number))
                .limit(500)
            )
            return list(rows.all())
