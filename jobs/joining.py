"""The trace that a job belongs to: that of the request which made it, as the job's row says.

The message says it as well, but a message may be lost and sent again by the sweeper, and those of documents are taken by
whatever document's turn it is. So the row decides, and the message's span is linked to where it is another: a retry is linked
to the try before it.
"""

from contextvars import ContextVar

from core import traces
from core.database import Database
from core.tables import Job

#: What the message that is being worked on carried.
came_by: ContextVar[str | None] = ContextVar("genai_came_by", default=None)


def joined(job: Job | None, kind: str, attempt: int = 1) -> traces.joining:
    """A span for one try of a job, in the job's trace. `kind`: of `core.jobs`, or a document's."""
    carried = came_by.get()
    above = job.traceparent if job is not None and job.traceparent else carried
    attributes: dict[str, str | int] = {"messaging.system": "dramatiq", "messaging.operation.type": "process"}
    attributes |= {"genai.job.kind": kind, "genai.attempt": attempt}
    if job is not None:
        attributes |= {"genai.job.id": job.id, "genai.tenant": job.tenant}
    return traces.joining(f"process {kind}", above, link=carried, attributes=attributes)


async def job_of(database: Database, job_id: str) -> Job | None:
    """The job's row, where it matters for a trace."""
    if not traces.are_on():
        return None
    async with database.session(all_tenants=True) as session:
        return await session.get(Job, job_id)
