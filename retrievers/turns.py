"""Whose turn it is: tenants take turns, what somebody has given comes before what a crawl has found, and jobs take turns.

So each gets its turn, however much the others have waiting.
"""

from collections.abc import Set

from sqlalchemy import ColumnElement
from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import utc_now
from core.tables import Collection, Document, DocumentState, Job, JobState, Source


class Turns:
    """Remembers who had the last turn. Several workers each keep their own order, which is fair, too."""

    def __init__(self) -> None:
        self._turn = 0
        self._last: dict[tuple[str, str | None], int] = {}

    async def first(self, session: AsyncSession, without: Set[str] = frozenset()) -> tuple[str, int] | None:
        """The waiting document whose turn it is, as (id, revision): of the tenant that was served longest ago, what was given
        before what was found by a crawl, and of the job that was served longest ago; of the job's the least tried first, then
        the oldest. None where none waits; `without` these tenants."""
        crawled = col(Document.source_id).is_not(None)
        waiting = await session.exec(
            select(Document.tenant, Document.job_id, crawled, func.min(Document.updated_at))
            .where(*may_begin(), col(Document.tenant).not_in(without))
            .group_by(Document.tenant, col(Document.job_id), crawled)
        )
        jobs = [(tenant, bool(found), job_id, oldest) for tenant, job_id, found, oldest in waiting.all()]
        if not jobs:
            return None
        for _, _, job_id, _ in jobs:  # a new one goes before who was served last, and not before who waits longer
            self._last.setdefault(("job", job_id), self._turn - 1)
        tenant, by_crawl, job_id, _ = min(
            jobs, key=lambda job: (self._last.get(("tenant", job[0]), 0), job[1], self._last[("job", job[2])], job[3])
        )
        found = await session.exec(
            select(Document.id, Document.revision)
            .where(*may_begin(), Document.tenant == tenant, col(Document.job_id).is_not_distinct_from(job_id))
            .where(crawled if by_crawl else ~crawled)
            .order_by(col(Document.attempts), col(Document.updated_at), col(Document.name))
            .limit(1)
        )
        self._turn += 1
        known = {("tenant", job[0]) for job in jobs} | {("job", job[2]) for job in jobs}
        served = {("tenant", tenant): self._turn, ("job", job_id): self._turn}
        self._last = {one: turn for one, turn in (self._last | served).items() if one in known}
        return found.first()


def may_begin() -> tuple[ColumnElement[bool], ...]:
    """The conditions of a document that a worker may take up now."""
    free = or_(col(Document.leased_until).is_(None), col(Document.leased_until) < utc_now())
    return (col(Document.state) == DocumentState.QUEUED, free, ~is_paused())


def is_paused() -> ColumnElement[bool]:
    """The condition of a document whose collection, source or job is paused."""
    unfinished = (JobState.QUEUED.value, JobState.RUNNING.value)
    collections = select(Collection.id).where(col(Collection.paused_at).is_not(None))
    sources = select(Source.id).where(col(Source.paused_at).is_not(None))
    jobs = select(Job.id).where(col(Job.state).in_(unfinished), col(Job.paused_at).is_not(None))
    # nothing is in a list that it may not be in: NULL would make of "not paused" what is neither
    return or_(
        col(Document.collection_id).in_(collections),
        func.coalesce(Document.source_id, "").in_(sources),
        func.coalesce(Document.job_id, "").in_(jobs),
    )
