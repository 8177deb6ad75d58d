"""Jobs: their state, their events as they happen, and their end by request."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from core import denials
from core.batches import JOB_KIND, Batches
from core.errors import Conflict, PlatformError
from core.jobs import INGESTION, REINDEXING, Jobs, job_view
from core.principals import Principal, Scope
from core.tables import Job, JobState
from retrievers.holds import of_job
from retrievers.relocation import cancel as cancel_move
from server.auth import principal_still, requires
from server.batches import cancel
from server.pagination import Paging, page
from server.readiness import Readiness
from server.state import CurrentState, State
from server.streams import EventStream, event

router = APIRouter(prefix="/api/v1/jobs", tags=["Jobs"])

Reader = Annotated[Principal, requires(Scope.JOBS_READ)]
Writer = Annotated[Principal, requires(Scope.RAG_WRITE)]
JobID = Annotated[str, Path(description="the job's id", examples=["job_9fKx2LmQ"])]

#: Seconds between two looks for new events.
_LOOK_EVERY_S = 0.25


class JobProgress(BaseModel):
    """How many of a job's parts have ended, failed ones included."""

    done: int
    total: int


class JobError(BaseModel):
    """Why a part of a job failed."""

    document: str
    document_id: str | None = None
    code: str
    message: str


class JobInfo(BaseModel):
    """A job. It has failed where all of its parts have, and is cancelled where all were deleted first."""

    id: str
    kind: str
    state: JobState
    paused: bool = Field(description="whether none of its parts is begun until it is resumed")
    progress: JobProgress
    failed: int = Field(description="parts that failed; `errors` holds the first 1,000")
    skipped: int = Field(description="parts that had nothing to do: unchanged documents")
    removed: int = Field(description="parts that were deleted before their turn")
    errors: list[JobError]
    result: dict[str, Any] | None = Field(
        None,
        description="of an erasure, a reconciliation or a crawl what was found, of an export where it is, of a reindexing what "
        "moved",
    )
    arguments: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobPage(BaseModel):
    """Some of the jobs."""

    results: list[JobInfo]
    next_cursor: str | None


@router.get("", response_model=JobPage)
async def list_jobs(
    state: CurrentState,
    principal: Reader,
    paging: Paging,
    job_state: Annotated[JobState | None, Query(alias="state", description="only jobs in this state")] = None,
) -> dict[str, object]:
    """List jobs, the newest first."""
    rows, following = await Jobs(state.database).page(principal, limit=paging.limit, after=paging.after, state=job_state)
    return page([job_view(row) for row in rows], following)


@router.get("/{job_id}", response_model=JobInfo)
async def get_job(job_id: JobID, state: CurrentState, principal: Reader) -> dict[str, Any]:
    """Show a job."""
    return job_view(await Jobs(state.database).get(principal, job_id))


@router.post("/{job_id}/cancel", response_model=JobInfo)
async def cancel_job(job_id: JobID, state: CurrentState, principal: Writer) -> dict[str, Any]:
    """End a job. What it has done stays; a document that was not ready becomes `failed` with the code `cancelled`."""
    job = await Jobs(state.database).get(principal, job_id)
    if job.kind == JOB_KIND:
        batch = await Batches(state.database).of_job(principal, job_id)
        await cancel(state, principal, batch.id)
        return job_view(await Jobs(state.database).get(principal, job_id))
    if job.kind == REINDEXING:
        return job_view(await cancel_move(state.database, principal, job))
    if job.kind != INGESTION:
        raise Conflict("A job of this kind cannot be cancelled.", code="not_cancellable")
    await state.library.holds.cancel(principal, of_job(job))
    return job_view(await Jobs(state.database).get(principal, job_id))


@router.post("/{job_id}/pause", response_model=JobInfo)
async def pause_job(job_id: JobID, state: CurrentState, principal: Writer) -> dict[str, Any]:
    """Begin none of an ingestion's documents any more, until it is resumed. What is being read is finished."""
    await state.library.holds.pause(principal, of_job(await _ingestion(state, principal, job_id)))
    return job_view(await Jobs(state.database).get(principal, job_id))


@router.post("/{job_id}/resume", response_model=JobInfo)
async def resume_job(job_id: JobID, state: CurrentState, principal: Writer) -> dict[str, Any]:
    """Go on with an ingestion that was paused."""
    await state.library.holds.resume(principal, of_job(await _ingestion(state, principal, job_id)))
    return job_view(await Jobs(state.database).get(principal, job_id))


async def _ingestion(state: State, principal: Principal, job_id: str) -> Job:
    job = await Jobs(state.database).get(principal, job_id)
    if job.kind != INGESTION:
        raise Conflict("A job of this kind cannot be paused.", code="not_pausable")
    return job


@router.get(
    "/{job_id}/events",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}}, 204: {"description": "The job has ended, and all was told."}},
)
async def job_events(
    job_id: JobID,
    request: Request,
    state: CurrentState,
    principal: Reader,
    last_event_id: Annotated[str | None, Header(description="the number of the last event that was seen")] = None,
) -> Response:
    """Server-sent events: `progress` for each part that ends, then `done` with the whole job. Numbered; resumes after
    `Last-Event-ID`. A comment keeps the connection alive meanwhile. They end with an `error` once the key, or whatever else the
    caller showed, does, and without one when the server ends."""
    jobs = Jobs(state.database)
    job = await jobs.get(principal, job_id)
    after = int(last_event_id) if last_event_id and re.fullmatch("[0-9]{1,9}", last_event_id) else 0
    if JobState(job.state).finished and not await jobs.events(job, after):
        return Response(status_code=204)  # tells an EventSource not to come again
    return EventStream(_told(jobs, partial(principal_still, request, principal), job_id, after, state.readiness), _as_event)


async def _told(
    jobs: Jobs, still: Callable[[], Awaitable[Principal]], job_id: str, after: int, readiness: Readiness
) -> AsyncGenerator[bytes, None]:
    yield b": the events of a job follow\n\n"  # the answer begins now, however long the next event takes
    while not readiness.leaving():  # who listens comes again, with the number of the last event, to a server that stays
        principal = await still()
        if not principal.may(Scope.JOBS_READ):
            raise denials.lacks(principal, Scope.JOBS_READ)
        job = await jobs.get(principal, job_id)
        finished = JobState(job.state).finished
        told = await jobs.events(job, after)
        for row in told:
            after = row.number
            yield event(row.event, row.data, number=row.number)
        if finished and not told:
            return
        if not told:
            await asyncio.sleep(_LOOK_EVERY_S)


def _as_event(error: PlatformError) -> bytes:
    return event("error", error.body())
