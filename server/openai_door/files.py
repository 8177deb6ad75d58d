"""`/v1/files`: what OpenAI's clients upload for batches, and what batches wrote."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile
from starlette.responses import Response

from core.errors import InvalidRequest
from core.principals import Principal, Scope
from core.shown_names import shown
from core.stored_files import BATCH, StoredFiles
from core.tables import StoredFile
from server.auth import requires
from server.batches import refuse_batch
from server.file_streams import FileStream
from server.state import CurrentState, State
from server.uploads import read_form

router = APIRouter(prefix="/v1/files", tags=["OpenAI"])

Runner = Annotated[Principal, requires(Scope.BATCHES_RUN)]

_FORM = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file", "purpose"],
            "properties": {
                "file": {"type": "string", "format": "binary", "description": "JSON lines, a request each"},
                "purpose": {"type": "string", "enum": [BATCH]},
            },
        }
    }
}


class FileInfo(BaseModel):
    """OpenAI's `file` object."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int = Field(description="seconds since 1970")
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"

    @classmethod
    def of(cls, row: StoredFile) -> "FileInfo":
        created = int(row.created_at.timestamp())
        return cls(id=row.id, bytes=row.size, created_at=created, filename=row.name, purpose=row.purpose)


class FileList(BaseModel):
    """OpenAI's list of files, the newest first."""

    object: Literal["list"] = "list"
    data: list[FileInfo]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedFile(BaseModel):
    """That a file is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


def files_of(state: State) -> StoredFiles:
    """The files of callers."""
    return StoredFiles(state.database, state.library.resources.files)


@router.post("", response_model=FileInfo, openapi_extra={"requestBody": {"required": True, "content": _FORM}})
async def upload_file(request: Request, state: CurrentState, principal: Runner) -> FileInfo:
    """Upload a file of requests, for a batch."""
    refuse_batch(state)
    async with _received(request, state) as upload:
        row = await files_of(state).add(principal, upload.path, name=upload.name, purpose=BATCH, size=upload.size)
    return FileInfo.of(row)


@router.get("", response_model=FileList)
async def list_files(
    state: CurrentState,
    principal: Runner,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    after: Annotated[str | None, Query(max_length=64, description="the last id of the page before")] = None,
    purpose: Annotated[Literal["batch", "batch_output"] | None, Query()] = None,
    order: Annotated[Literal["asc", "desc"], Query(description="desc: the newest first")] = "desc",
) -> dict[str, Any]:
    """List files, the newest first."""
    rows, more = await files_of(state).page(principal, limit=limit, after=after, purpose=purpose, oldest_first=order == "asc")
    ids = [row.id for row in rows]
    return {
        "data": [FileInfo.of(row) for row in rows],
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": more,
    }


@router.get("/{file_id}", response_model=FileInfo)
async def show_file(file_id: str, state: CurrentState, principal: Runner) -> FileInfo:
    """Show a file."""
    return FileInfo.of(await files_of(state).get(principal, file_id))


@router.get(
    "/{file_id}/content",
    response_class=Response,
    responses={200: {"content": {"application/jsonl": {}}, "description": "The file."}},
)
async def file_content(file_id: str, state: CurrentState, principal: Runner) -> Response:
    """Read a file."""
    return FileStream([await files_of(state).open(principal, file_id)], media_type="application/jsonl")


@router.delete("/{file_id}", response_model=DeletedFile)
async def delete_file(file_id: str, state: CurrentState, principal: Runner) -> DeletedFile:
    """Delete a file. 409 while a batch reads it."""
    await files_of(state).delete(principal, file_id)
    return DeletedFile(id=file_id)


@dataclass(frozen=True, slots=True)
class _Upload:
    """A file as it came, on disk."""

    path: Path
    name: str
    size: int


@asynccontextmanager
async def _received(request: Request, state: State) -> AsyncIterator[_Upload]:
    """The file of the form. It is deleted at the end of the block."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise InvalidRequest(
            "Send the file as multipart/form-data with `file` and `purpose`.", code="invalid_form", param="file"
        )
    form = await read_form(request, max_files=1, max_fields=5)
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidRequest("'file' is needed: the file itself.", code="missing_required_parameter", param="file")
        for name in form:
            if name.startswith("expires_after"):
                text = (
                    "'expires_after' is not supported here: files go with their batch, after the time that the deployment sets."
                )
                raise InvalidRequest(text, code="unsupported_feature", param="expires_after")
            if name not in ("file", "purpose"):
                field = shown(name)
                raise InvalidRequest(f"Unrecognized request argument supplied: {field}", code="unknown_parameter", param=field)
        purpose = form.get("purpose")
        if purpose != BATCH:
            text = f"'purpose' must be {BATCH!r}; files for other purposes are not kept here."
            raise InvalidRequest(text, code="invalid_value", param="purpose")
        if not file.size:
            raise InvalidRequest("The file is empty.", code="empty_file", param="file")
        async with state.library.resources.files.scratch.adirectory("upload") as directory:
            path = directory / "upload"
            await asyncio.to_thread(_write, file, path)
            yield _Upload(path, file.filename or "file.jsonl", file.size)
    finally:
        await form.close()


def _write(file: UploadFile, path: Path) -> None:
    file.file.seek(0)
    with path.open("wb") as target:
        shutil.copyfileobj(file.file, target, 2**20)
