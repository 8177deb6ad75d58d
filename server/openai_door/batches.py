"""`/v1/batches`: OpenAI's batches of requests, answered in the background."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from core.batches import Batches
from core.principals import Principal, Scope
from core.tables import Batch, BatchState
from server.auth import requires
from server.batches import Labels, begin, cancel
from server.state import CurrentState

router = APIRouter(prefix="/v1/batches", tags=["OpenAI"])

Runner = Annotated[Principal, requires(Scope.BATCHES_RUN)]


class NewBatch(BaseModel):
    """A batch to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"input_file_id": "file_9fKx2LmQ", "endpoint": "/v1/chat/completions", "completion_window": "24h"}]
        },
    )

    input_file_id: str = Field(max_length=64, description="an uploaded file with the purpose `batch`")
    endpoint: str = Field(max_length=64, description="the path that every request of the file names")
    completion_window: Literal["24h"] = Field(description="what is not answered by then is left out")
    metadata: Labels | None = None


class Counts(BaseModel):
    """Requests of a batch."""

    total: int
    completed: int
    failed: int


class BatchProblem(BaseModel):
    """What is wrong with a line of the input. Line 0 is the file itself."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class BatchProblems(BaseModel):
    """OpenAI's list of problems."""

    object: Literal["list"] = "list"
    data: list[BatchProblem]


class BatchInfo(BaseModel):
    """OpenAI's `batch` object. Times are seconds since 1970."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    errors: BatchProblems | None
    input_file_id: str
    completion_window: Literal["24h"] = "24h"
    status: BatchState
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: Counts
    metadata: dict[str, str] | None
    job_id: str = Field(description="the job that answers it, at /api/v1/jobs")

    @classmethod
    def of(cls, row: Batch) -> "BatchInfo":
        state = BatchState(row.state)
        ended = {state: _seconds(row.ended_at)} if state.finished else {}
        return cls(
            id=row.id,
            endpoint=row.endpoint,
            errors=BatchProblems(data=[BatchProblem(**error) for error in row.errors]) if row.errors else None,
            input_file_id=row.input_file_id,
            status=state,
            output_file_id=row.output_file_id,
            error_file_id=row.error_file_id,
            created_at=int(row.created_at.timestamp()),
            in_progress_at=_seconds(row.started_at),
            expires_at=int(row.expires_at.timestamp()),
            finalizing_at=_seconds(row.finalizing_at),
            completed_at=ended.get(BatchState.COMPLETED),
            failed_at=ended.get(BatchState.FAILED),
            expired_at=ended.get(BatchState.EXPIRED),
            cancelling_at=_seconds(row.cancelling_at),
            cancelled_at=ended.get(BatchState.CANCELLED),
            request_counts=Counts(total=row.total, completed=row.answered, failed=row.failed),
            metadata=row.labels or None,
            job_id=row.job_id,
        )


class BatchList(BaseModel):
    """OpenAI's list of batches, the newest first."""

    object: Literal["list"] = "list"
    data: list[BatchInfo]
    first_id: str | None
    last_id: str | None
    has_more: bool


@router.post("", response_model=BatchInfo)
async def create_batch(body: NewBatch, state: CurrentState, principal: Runner) -> BatchInfo:
    """Make a batch of the requests in an uploaded file."""
    row = await begin(state, principal, endpoint=body.endpoint, input_file_id=body.input_file_id, labels=body.metadata)
    return BatchInfo.of(row)


@router.get("", response_model=BatchList)
async def list_batches(
    state: CurrentState,
    principal: Runner,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(max_length=64, description="the last id of the page before")] = None,
) -> dict[str, Any]:
    """List batches, the newest first."""
    rows, more = await Batches(state.database).page(principal, limit=limit, after=after)
    ids = [row.id for row in rows]
    return {
        "data": [BatchInfo.of(row) for row in rows],
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": more,
    }


@router.get("/{batch_id}", response_model=BatchInfo)
async def show_batch(batch_id: str, state: CurrentState, principal: Runner) -> BatchInfo:
    """Show a batch."""
    return BatchInfo.of(await Batches(state.database).get(principal, batch_id))


@router.post("/{batch_id}/cancel", response_model=BatchInfo)
async def cancel_batch(batch_id: str, state: CurrentState, principal: Runner) -> BatchInfo:
    """End a batch. What has been answered is written to its files."""
    return BatchInfo.of(await cancel(state, principal, batch_id))


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
