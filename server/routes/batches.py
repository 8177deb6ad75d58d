"""Batches in the platform's own form: requests given inline, results read while they come."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing
from datetime import datetime
from typing import Annotated, Any, BinaryIO

import orjson
from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from starlette.responses import Response, StreamingResponse

from core.batches import Batches
from core.principals import Principal, Scope
from core.stored_files import BATCH, StoredFiles
from core.tables import Batch, BatchState
from server.auth import requires
from server.batches import Labels, begin, cancel, check_endpoint, refuse_batch
from server.file_streams import FileStream
from server.pagination import Paging, page
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/batches", tags=["Batches"])

Runner = Annotated[Principal, requires(Scope.BATCHES_RUN)]
BatchID = Annotated[str, Path(description="the batch's id", examples=["batch_9fKx2LmQ"])]


class BatchRequest(BaseModel):
    """One request of a batch."""

    model_config = ConfigDict(extra="forbid")

    custom_id: str = Field(min_length=1, max_length=512, description="what its result is known by; once in a batch")
    body: dict[str, Any] = Field(description="what would be sent to the endpoint")


class NewBatch(BaseModel):
    """A batch to make: of requests given here, or of an uploaded file in OpenAI's form (`POST /v1/files`)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "endpoint": "/api/v1/chat",
                    "requests": [{"custom_id": "1", "body": {"messages": [{"role": "user", "content": "Hello"}]}}],
                }
            ]
        },
    )

    endpoint: str = Field(max_length=64, description="/api/v1/{chat, completion, code/…, rag, multimodal} or one of /v1")
    requests: list[BatchRequest] | None = Field(None, min_length=1)
    input_file_id: str | None = Field(None, max_length=64)
    metadata: Labels | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "NewBatch":
        if (self.requests is None) == (self.input_file_id is None):
            raise ValueError("give either requests or input_file_id")
        return self

    @field_validator("requests", mode="after")
    @classmethod
    def _known_apart(cls, requests: list[BatchRequest] | None) -> list[BatchRequest] | None:
        known: set[str] = set()
        for number, one in enumerate(requests or ()):
            if one.custom_id in known:
                raise ValueError(f"each request needs a custom_id of its own; that of number {number} came before")
            known.add(one.custom_id)
        return requests


class BatchProgress(BaseModel):
    """How many requests have ended, failed ones included."""

    done: int
    total: int


class BatchError(BaseModel):
    """What is wrong with a line of the input. Line 0 is the file itself."""

    code: str
    message: str
    line: int
    param: str | None = None


class BatchInfo(BaseModel):
    """A batch."""

    id: str
    state: BatchState
    endpoint: str
    progress: BatchProgress
    failed: int = Field(description="of those that are done")
    errors: list[BatchError] = Field(description="why the input was refused; what became of a request is in the results")
    job_id: str
    input_file_id: str
    output_file_id: str | None
    error_file_id: str | None
    metadata: dict[str, str]
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, row: Batch) -> "BatchInfo":
        return cls(
            id=row.id,
            state=BatchState(row.state),
            endpoint=row.endpoint,
            progress=BatchProgress(done=row.answered + row.failed, total=row.total),
            failed=row.failed,
            errors=[BatchError(**error) for error in row.errors],
            job_id=row.job_id,
            input_file_id=row.input_file_id,
            output_file_id=row.output_file_id,
            error_file_id=row.error_file_id,
            metadata=row.labels,
            created_at=row.created_at,
            expires_at=row.expires_at,
            ended_at=row.ended_at,
        )


class BatchPage(BaseModel):
    """Some of the batches."""

    results: list[BatchInfo]
    next_cursor: str | None


@router.post("", response_model=BatchInfo, status_code=202)
async def create_batch(body: NewBatch, state: CurrentState, principal: Runner) -> BatchInfo:
    """Make a batch. It is answered by a job, some requests at once; what a provider refuses for now is asked again."""
    refuse_batch(state)
    check_endpoint(principal, body.endpoint)
    file_id = body.input_file_id
    if body.requests is not None:
        content = b"\n".join(
            orjson.dumps({"custom_id": one.custom_id, "method": "POST", "url": body.endpoint, "body": one.body})
            for one in body.requests
        )
        row = await _files(state).add(principal, content, name="requests.jsonl", purpose=BATCH, size=len(content))
        file_id = row.id
    batch = await begin(state, principal, endpoint=body.endpoint, input_file_id=file_id or "", labels=body.metadata)
    return BatchInfo.of(batch)


@router.get("", response_model=BatchPage)
async def list_batches(state: CurrentState, principal: Runner, paging: Paging) -> dict[str, Any]:
    """List batches, the newest first."""
    rows, more = await Batches(state.database).page(principal, limit=paging.limit, after=paging.after)
    return page([BatchInfo.of(row) for row in rows], rows[-1].id if more else None)


@router.get("/{batch_id}", response_model=BatchInfo)
async def show_batch(batch_id: BatchID, state: CurrentState, principal: Runner) -> BatchInfo:
    """Show a batch."""
    return BatchInfo.of(await Batches(state.database).get(principal, batch_id))


@router.post("/{batch_id}/cancel", response_model=BatchInfo)
async def cancel_batch(batch_id: BatchID, state: CurrentState, principal: Runner) -> BatchInfo:
    """End a batch. What has been answered stays to be read."""
    return BatchInfo.of(await cancel(state, principal, batch_id))


@router.get(
    "/{batch_id}/results",
    response_class=Response,
    responses={200: {"content": {"application/jsonl": {}}, "description": "A JSON object a line, as OpenAI's output has it."}},
)
async def batch_results(batch_id: BatchID, state: CurrentState, principal: Runner) -> Response:
    """The results so far: while the batch runs those that have ended, in the order of its requests; afterwards all, answers
    before errors."""
    batch = await Batches(state.database).get(principal, batch_id)
    if BatchState(batch.state).finished:
        return FileStream(await _written(state, principal, batch), media_type="application/jsonl")
    headers = {"x-content-type-options": "nosniff"}
    return StreamingResponse(_so_far(state, batch), media_type="application/jsonl", headers=headers)


async def _so_far(state: State, batch: Batch) -> AsyncIterator[bytes]:
    async with aclosing(Batches(state.database).results(batch)) as groups:
        async for group in groups:
            yield b"".join(line + b"\n" for line in group)


async def _written(state: State, principal: Principal, batch: Batch) -> list[BinaryIO]:
    """The batch's files, opened."""
    ids = [file_id for file_id in (batch.output_file_id, batch.error_file_id) if file_id is not None]
    with ExitStack() as opened:
        files = [opened.enter_context(await _files(state).open(principal, file_id)) for file_id in ids]
        opened.pop_all()  # the answer closes them
    return files


def _files(state: State) -> StoredFiles:
    return StoredFiles(state.database, state.library.resources.files)
