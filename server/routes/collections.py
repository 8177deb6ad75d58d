"""Collections: named sets of documents that are searched together."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from core.principals import Principal, Scope
from core.tables import Collection
from retrievers.collections import NAME_PATTERN
from server.auth import requires
from server.pagination import Paging, page
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/rag/collections", tags=["Collections"])

Reader = Annotated[Principal, requires(Scope.RAG_READ)]
Writer = Annotated[Principal, requires(Scope.RAG_WRITE)]
CollectionName = Annotated[str, Path(description="the collection's name", examples=["handbook"])]


class CollectionSettings(BaseModel):
    """What a collection may have otherwise than the platform's defaults: nothing yet."""

    model_config = ConfigDict(extra="forbid")


class NewCollection(BaseModel):
    """A collection to make."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "contracts", "description": "Signed contracts since 2019"}]}
    )

    name: str = Field(pattern=NAME_PATTERN, description="unique; `a-z 0-9 _ -`")
    description: str = Field("", max_length=2000)
    settings: CollectionSettings = CollectionSettings()


class CollectionChanges(BaseModel):
    """What is to be changed; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    description: str = Field(max_length=2000)


class DocumentCounts(BaseModel):
    """Documents by state."""

    total: int
    queued: int
    processing: int
    ready: int
    failed: int


class CollectionInfo(BaseModel):
    """A collection."""

    id: str
    name: str
    description: str
    documents: DocumentCounts
    chunks: int = Field(description="passages that can be found")
    created_at: datetime
    updated_at: datetime


class CollectionPage(BaseModel):
    """Some of the collections."""

    results: list[CollectionInfo]
    next_cursor: str | None


@router.post("", status_code=201)
async def create_collection(new: NewCollection, state: CurrentState, principal: Writer, response: Response) -> CollectionInfo:
    """Make a collection."""
    collection = await state.library.collections.create(principal, new.name, description=new.description)
    response.headers["location"] = f"{router.prefix}/{collection.name}"
    return (await _described(state, [collection]))[0]


@router.get("", response_model=CollectionPage)
async def list_collections(state: CurrentState, principal: Reader, paging: Paging) -> dict[str, object]:
    """List collections by name."""
    rows, following = await state.library.collections.page(principal, limit=paging.limit, after=paging.after)
    return page(await _described(state, rows), following)


@router.get("/{name}")
async def get_collection(name: CollectionName, state: CurrentState, principal: Reader) -> CollectionInfo:
    """Show a collection, with its documents counted by state."""
    return (await _described(state, [await state.library.collections.get(principal, name)]))[0]


@router.patch("/{name}")
async def change_collection(
    name: CollectionName, changes: CollectionChanges, state: CurrentState, principal: Writer
) -> CollectionInfo:
    """Change a collection's description."""
    collection = await state.library.collections.update(principal, name, description=changes.description)
    return (await _described(state, [collection]))[0]


@router.delete("/{name}", status_code=204)
async def delete_collection(name: CollectionName, state: CurrentState, principal: Writer) -> Response:
    """Delete a collection with all of its documents."""
    await state.library.collections.delete(principal, name)
    return Response(status_code=204)


async def _described(state: State, rows: list[Collection]) -> list[CollectionInfo]:
    counts = await state.library.collections.counts([row.id for row in rows])
    return [
        CollectionInfo(
            id=row.id,
            name=row.name,
            description=row.description,
            documents=DocumentCounts.model_validate(counts[row.id]),
            chunks=counts[row.id]["chunks"],
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]
