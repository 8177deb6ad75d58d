"""Snapshots: a collection with all that it holds in one file, and back into a new collection."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from core import audit, denials
from core.data_requests import RUN_SNAPSHOT, SNAPSHOTS
from core.principals import Principal, Scope
from core.stored_files import drop_unclaimed
from core.tables import DataRequest, Job, JobState
from retrievers.collections import NAME_PATTERN
from retrievers.keeping import Snapshots
from retrievers.sharing import Level
from server.auth import requires
from server.file_streams import FileStream
from server.pagination import Paging, page_of
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/rag", tags=["Collections"])

#: Whose right over the collection itself decides.
Owner = Annotated[Principal, requires(Scope.RAG_WRITE, Scope.RAG_MANAGE)]
Name = Annotated[str, Path(description="the collection's name", examples=["handbook"])]
SnapshotID = Annotated[str, Path(description="the snapshot's id", examples=["data_9fKx2LmQ"])]


class SnapshotAccepted(BaseModel):
    """What takes, or restores, a snapshot. Its job's `result` tells what is in it."""

    job_id: str
    snapshot_id: str


class SnapshotInfo(BaseModel):
    """A snapshot. It can be fetched and restored once its state is `succeeded`, until `expires_at`."""

    id: str
    collection: str = Field(description="the collection's name when it was taken")
    state: JobState
    job_id: str
    size: int = Field(description="bytes")
    created_at: datetime
    expires_at: datetime | None

    @classmethod
    def of(cls, row: DataRequest, job: Job) -> "SnapshotInfo":
        return cls(
            id=row.id,
            collection=str(job.arguments["collection"]),
            state=JobState(job.state),
            job_id=job.id,
            size=row.size,
            created_at=row.created_at,
            expires_at=row.expires_at,
        )


class SnapshotList(BaseModel):
    """Snapshots, the newest first."""

    results: list[SnapshotInfo]
    next_cursor: str | None


class Restoration(BaseModel):
    """Where a snapshot is restored to."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "contracts-restored"}]})

    name: str = Field(pattern=NAME_PATTERN, description="of a collection that is made for it")


@router.post("/collections/{name}/snapshots", status_code=202)
async def take_snapshot(name: Name, state: CurrentState, principal: Owner, response: Response) -> SnapshotAccepted:
    """Have a collection written into one file by a job: its documents with their originals, texts, chunks, vectors and
    metadata. Its owner may, and who manages collections."""
    collection = await state.library.collections.get(principal, name, Level.MANAGE)
    made, job = await _snapshots(state).ask(principal, collection)
    return await _accepted(state, response, made, job, made.id)


@router.get("/snapshots", response_model=SnapshotList)
async def list_snapshots(state: CurrentState, principal: Owner, paging: Paging) -> dict[str, Any]:
    """List the snapshots of collections that you manage, also of such as are deleted."""
    found = [SnapshotInfo.of(row, job) for row, job in await _snapshots(state).all(principal)]
    return page_of(found, paging, lambda one: one.id)


@router.get(
    "/snapshots/{snapshot_id}",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}, "description": "The snapshot."}},
)
async def fetch_snapshot(snapshot_id: SnapshotID, state: CurrentState, principal: Owner) -> Response:
    """Fetch a snapshot: a ZIP. Who may not search has not read what is in it, and does not by this."""
    if not principal.may_search:
        raise denials.lacks(principal, Scope.RAG_SEARCH, act="fetch a snapshot")
    row, _ = await _snapshots(state).get(principal, snapshot_id)
    content = await state.library.resources.files.open(row.file_key, tenant=row.subject_tenant)
    on, done = ("collection", row.subject), audit.Outcome.SUCCESS
    audit.note(audit.Action.COLLECTION_SNAPSHOT, outcome=done, on=on, details={"snapshot": row.id, "fetched": True})
    answer = FileStream([content], media_type="application/zip")
    answer.headers["content-disposition"] = f'attachment; filename="snapshot-{row.id}.zip"'
    return answer


@router.delete("/snapshots/{snapshot_id}", status_code=204)
async def delete_snapshot(snapshot_id: SnapshotID, state: CurrentState, principal: Owner) -> Response:
    """Delete a snapshot for good."""
    await _snapshots(state).delete(principal, snapshot_id)
    await drop_unclaimed(state.database, state.library.resources.files)
    return Response(status_code=204)


@router.post("/snapshots/{snapshot_id}/restore", status_code=202)
async def restore_snapshot(
    snapshot_id: SnapshotID, to: Restoration, state: CurrentState, principal: Owner, response: Response
) -> SnapshotAccepted:
    """Restore a snapshot into a new collection, which is yours, by a job. Vectors of another embedding model than the new
    collection's are made anew."""
    made, job = await _snapshots(state).restore(principal, snapshot_id, to.name)
    return await _accepted(state, response, made, job, snapshot_id)


def _snapshots(state: State) -> Snapshots:
    return Snapshots(state.database, state.library.collections)


async def _accepted(state: State, response: Response, made: DataRequest, job: Job, snapshot_id: str) -> SnapshotAccepted:
    await state.queue.send(RUN_SNAPSHOT, made.id, queue=SNAPSHOTS)
    response.headers["location"] = f"/api/v1/jobs/{job.id}"
    return SnapshotAccepted(job_id=job.id, snapshot_id=snapshot_id)
