"""Dead letters: documents that could not be brought in, with the reason; tried again, or deleted."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from core.errors import NotFound
from core.principals import Principal, Scope
from core.tables import Document
from retrievers.dead_letters import Which
from retrievers.sharing import Level
from server.auth import requires
from server.pagination import Paging, page
from server.state import CurrentState

router = APIRouter(prefix="/api/v1/rag", tags=["Sources"])

Reader = Annotated[Principal, requires(Scope.RAG_READ)]
Writer = Annotated[Principal, requires(Scope.RAG_WRITE)]
CollectionName = Annotated[str, Path(description="the collection's name", examples=["handbook"])]
Code = Annotated[str | None, Query(max_length=64, description="only those with this reason, such as `corrupt_file`")]
OfJob = Annotated[str | None, Query(max_length=64, description="only those of this job")]


class DeadLetter(BaseModel):
    """A document that could not be brought in."""

    id: str
    name: str
    collection: str
    code: str = Field(description="why, as in docs/errors.md")
    message: str
    attempts: int = Field(description="tries that were made of it")
    stored: bool = Field(description="whether its content is here, so that it can be tried again as it is")
    searchable: bool = Field(description="whether an earlier content is still found")
    size: int = Field(description="bytes")
    source_id: str | None
    job_id: str | None
    failed_at: datetime

    @classmethod
    def of(cls, row: Document, collection: str) -> "DeadLetter":
        return cls(
            **row.model_dump(include={"id", "name", "attempts", "size", "source_id", "job_id"}),
            collection=collection,
            code=row.error_code or "",
            message=row.error_message or "",
            stored=bool(row.file_key or row.source_url),
            searchable=row.indexed_revision > 0,
            failed_at=row.updated_at,
        )


class DeadLetterPage(BaseModel):
    """Some of the dead letters."""

    results: list[DeadLetter]
    next_cursor: str | None


class Retry(BaseModel):
    """Which dead letters are tried again; those that fit all that is named."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"code": "store_unavailable"}]})

    documents: list[Annotated[str, Field(max_length=64)]] | None = Field(None, max_length=200, description="by id; empty: all")
    job_id: str | None = Field(None, max_length=64, description="those of this job")
    code: str | None = Field(None, max_length=64, description="those with this reason")


class Retried(BaseModel):
    """What is tried again."""

    job_id: str | None = Field(description="the job that does it; null: there was nothing that could be")
    documents: int
    crawl_jobs: list[str] = Field(description="crawls of the sources whose files could not be read")
    left: int = Field(description="whose content is not here, and that have to be given anew")


class Deleted(BaseModel):
    """What was deleted."""

    documents: int


@router.get("/dead-letters", response_model=DeadLetterPage)
async def list_all_dead_letters(
    state: CurrentState, principal: Reader, paging: Paging, code: Code = None, job_id: OfJob = None
) -> dict[str, Any]:
    """List the dead letters of all collections that you may read."""
    rows, following = await state.library.dead_letters.page(
        principal, Which(code=code, job_id=job_id), limit=paging.limit, after=paging.after
    )
    return page([DeadLetter.of(row, collection) for row, collection in rows], following)


@router.get("/collections/{name}/dead-letters", response_model=DeadLetterPage)
async def list_dead_letters(
    name: CollectionName, state: CurrentState, principal: Reader, paging: Paging, code: Code = None, job_id: OfJob = None
) -> dict[str, Any]:
    """List the dead letters of a collection."""
    collection = await state.library.collections.get(principal, name)
    which = Which(code=code, job_id=job_id)
    rows, following = await state.library.dead_letters.page(
        principal, which, collection=collection, limit=paging.limit, after=paging.after
    )
    return page([DeadLetter.of(row, name) for row, name in rows], following)


@router.post("/collections/{name}/dead-letters/retry", status_code=202)
async def retry_dead_letters(
    name: CollectionName, state: CurrentState, principal: Writer, wanted: Retry | None = None
) -> Retried:
    """Try dead letters of a collection again, by a job: all of them, or those that are named. Each has its tries anew.
    404 (`dead_letter_not_found`) where none of those `documents` is one."""
    collection = await state.library.collections.get(principal, name, Level.WRITE)
    wanted = wanted or Retry()
    which = Which(documents=wanted.documents, job_id=wanted.job_id, code=wanted.code)
    done = await state.library.dead_letters.retry(principal, collection, which)
    if which.documents and not (done.documents or done.crawls or done.left):
        raise NotFound("None of these documents is a dead letter of this collection.", code="dead_letter_not_found")
    return Retried(
        job_id=done.job.id if done.job is not None else None,
        documents=done.documents,
        crawl_jobs=[job.id for job in done.crawls],
        left=done.left,
    )


@router.delete("/collections/{name}/dead-letters")
async def delete_dead_letters(
    name: CollectionName, state: CurrentState, principal: Writer, code: Code = None, job_id: OfJob = None
) -> Deleted:
    """Delete dead letters of a collection: all of them, or those with a reason or of a job; with them, earlier content of
    theirs that was still found. One alone is deleted as a document."""
    collection = await state.library.collections.get(principal, name, Level.WRITE)
    return Deleted(documents=await state.library.dead_letters.delete(principal, collection, Which(code=code, job_id=job_id)))
