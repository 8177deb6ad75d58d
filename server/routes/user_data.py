"""All of somebody's data: erased with their account, or exported for them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from core import audit
from core.data_requests import QUEUE, RUN_DATA_REQUEST, DataRequests
from core.jobs import job_view
from core.principals import Principal, Scope
from core.tables import JobState
from server.access.directory import Directory
from server.auth import current_principal, request_context, requires
from server.file_streams import FileStream
from server.gate import admit
from server.pagination import Paging, page_of
from server.routes.jobs import JobInfo
from server.state import CurrentState

router = APIRouter(prefix="/api/v1/users", tags=["Access"])

Manager = Annotated[Principal, requires(Scope.USERS_MANAGE)]
Anybody = Annotated[Principal, current_principal]
#: Stands for whoever asks.
_ME = "me"


class ExportInfo(BaseModel):
    """An export of somebody's data. It can be fetched once its state is `succeeded`, until `expires_at`."""

    id: str
    job_id: str
    state: JobState
    created_at: datetime
    expires_at: datetime | None
    size: int


class ExportList(BaseModel):
    """Exports, the newest first."""

    results: list[ExportInfo]
    next_cursor: str | None


@router.delete("/{user_id}", status_code=202, response_model=JobInfo)
async def delete_user(
    user_id: str,
    state: CurrentState,
    principal: Manager,
    hand_over_to: Annotated[
        str | None, Query(max_length=64, description="the user who gets the collections that this one shares with others")
    ] = None,
    shared: Annotated[Literal["delete"] | None, Query(description="delete: these collections go too")] = None,
) -> dict[str, Any]:
    """Erase a user: they are refused everywhere within a second, and a job erases all of theirs. Its result lists what."""
    request, job = await Directory(state.database).erase_user(
        principal, user_id, hand_over_to=hand_over_to, drop_shared=shared == "delete"
    )
    state.access.forget()
    await state.queue.send(RUN_DATA_REQUEST, request.id, queue=QUEUE)
    return job_view(job)


@router.post("/{user_id}/export", status_code=202, response_model=JobInfo)
async def export_user(user_id: str, request: Request, state: CurrentState, principal: Anybody) -> dict[str, Any]:
    """Have all that is held about a user written into a ZIP of JSON lines by a job. `me` is yourself."""
    subject = _subject(request, principal, user_id)
    made, job = await Directory(state.database).export_user(principal, subject)
    await state.queue.send(RUN_DATA_REQUEST, made.id, queue=QUEUE)
    return job_view(job)


@router.get("/{user_id}/exports", response_model=ExportList)
async def list_exports(
    user_id: str, request: Request, state: CurrentState, principal: Anybody, paging: Paging
) -> dict[str, Any]:
    """List the exports of a user's data. `me` is yourself."""
    rows = await Directory(state.database).exports(principal, _subject(request, principal, user_id))
    found = [
        ExportInfo(
            id=row.id,
            job_id=job.id,
            state=JobState(job.state),
            created_at=row.created_at,
            expires_at=row.expires_at,
            size=row.size,
        )
        for row, job in rows
    ]
    return page_of(found, paging, lambda export: export.id)


@router.get(
    "/{user_id}/exports/{export_id}",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}, "description": "The export."}},
)
async def fetch_export(user_id: str, export_id: str, request: Request, state: CurrentState, principal: Anybody) -> Response:
    """Fetch an export of a user's data. `me` is yourself."""
    subject = _subject(request, principal, user_id)
    await Directory(state.database).exportable(principal, subject)
    requests = DataRequests(state.database, lease_s=state.settings.jobs.lease_s)
    export = await requests.export(principal, subject, export_id)
    content = await state.library.resources.files.open(export.file_key, tenant=export.subject_tenant)
    audit.note(audit.Action.USER_EXPORTED, outcome=audit.Outcome.SUCCESS, on=("user", subject), details={"fetched": export.id})
    answer = FileStream([content], media_type="application/zip")
    answer.headers["content-disposition"] = f'attachment; filename="export-{export.id}.zip"'
    return answer


def _subject(request: Request, principal: Principal, user_id: str) -> str:
    """Whose data is meant. Raises Forbidden: somebody else's, and the caller does not manage users."""
    if user_id in (_ME, principal.id):
        return principal.id
    admit(request_context(request), Scope.USERS_MANAGE)
    return user_id
