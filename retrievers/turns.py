"""Whose turn it is: documents wait by job, and jobs by tenant, and each gets its turn, however much the others have waiting."""

from sqlalchemy import ColumnElement
from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import utc_now
from core.tables import Document, DocumentState


class Turns:
    """Remembers who had the last turn. Several workers each keep their own order, which is fair, too."""

    def __init__(self) -> None:
        self._turn = 0
        self._last: dict[tuple[str, str | None], int] = {}

    async def first(self, session: AsyncSession) -> tuple[str, int] | None:
        """The waiting document whose turn it is, as (id, revision): of the tenant, and then of its job, that was served longest
        ago; of the job's the least tried first, then the oldest. None where none waits."""
        waiting = await session.exec(
            select(Document.tenant, Document.job_id, func.min(Document.updated_at))
            .where(*may_begin())
            .group_by(Document.tenant, col(Document.job_id))
        )
        jobs = [(tenant, job_id, oldest) for tenant, job_id, oldest in waiting.all()]
        if not jobs:
            return None
        tenant, job_id, _ = min(
            jobs, key=lambda job: (self._last.get(("tenant", job[0]), 0), self._last.get(("job", job[1]), 0), job[2])
        )
        found = await session.exec(
            select(Document.id, Document.revision)
            .where(*may_begin(), Document.tenant == tenant, col(Document.job_id).is_not_distinct_from(job_id))
            .order_by(col(Document.attempts), col(Document.updated_at), col(Document.name))
            .limit(1)
        )
        self._turn += 1
        known = {("tenant", tenant) for tenant, _, _ in jobs} | {("job", job_id) for _, job_id, _ in jobs}
        served = {("tenant", tenant): self._turn, ("job", job_id): self._turn}
        self._last = {one: turn for one, turn in (self._last | served).items() if one in known}
        return found.first()


def may_begin() -> tuple[ColumnElement[bool], ...]:
    """The conditions of a document that a worker may take up now."""
    free = or_(col(Document.leased_until).is_(None), col(Document.leased_until) < utc_now())
    return (col(Document.state) == DocumentState.QUEUED, free)
