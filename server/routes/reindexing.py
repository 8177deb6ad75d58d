"""Index generations: collections moved to another vector store or embedding model while they are asked, and back."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from core.principals import Principal, Scope
from core.tables import GenerationState, IndexGeneration
from retrievers.collections import NAME_PATTERN
from retrievers.reindexing import QUEUE, WORK
from retrievers.relocation import Move, Relocation, Whereabouts
from server.auth import requires
from server.pagination import Paging, page_of
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/rag", tags=["Collections"])

Manager = Annotated[Principal, requires(Scope.RAG_MANAGE)]
Name = Annotated[str, Path(description="the collection's name", examples=["handbook"])]
GenerationID = Annotated[str, Path(description="the generation's id", examples=["gen_9fKx2LmQ"])]
_WHERE = "`STORE`, `STORE:ALIAS` or `:ALIAS`, where ALIAS names an embedding model"
_MOST_NAMES = 1000


class NewMove(BaseModel):
    """What is to be moved where. Without `collections` all that are at `from`."""

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {"collections": ["contracts"], "to": "pgvector"},
                {"from": "chroma", "to": "pgvector", "everywhere": True},
            ]
        },
    )

    to: str = Field(min_length=1, max_length=200, description=f"{_WHERE}; what is not named stays as it is")
    source: str | None = Field(None, alias="from", min_length=1, max_length=200, description=_WHERE)
    collections: list[Annotated[str, Field(pattern=NAME_PATTERN)]] = Field(default_factory=list, max_length=_MOST_NAMES)
    everywhere: bool = Field(False, description="of all tenants; takes the right `providers:manage`")
    keep_s: float | None = Field(
        None, ge=0, le=366 * 86_400, description="seconds that former vectors are kept; empty: as the settings say"
    )

    def to_move(self) -> Move:
        """Raises InvalidRequest."""
        return Move(
            to=Whereabouts.parse(self.to, param="to"),
            source=None if self.source is None else Whereabouts.parse(self.source, param="from"),
            names=tuple(self.collections),
            everywhere=self.everywhere,
            keep_s=self.keep_s,
        )


class MoveAccepted(BaseModel):
    """What moves the collections."""

    job_id: str
    collections: int = Field(description="how many it moves; those that are there already are left out")


class GenerationInfo(BaseModel):
    """The vectors of a collection in one store, by one embedding model."""

    id: str
    state: GenerationState = Field(
        description="active: questions are answered from it · filling: it is being brought up to that one · kept: it was "
        "active, and can be again · dropping: it is being deleted"
    )
    store: str
    embeddings: str = Field(description="the alias that makes its vectors")
    model: str = Field(description="the model behind the alias when it was made")
    done: int = Field(description="chunks that are there, while it is filled")
    total: int
    job_id: str | None
    created_at: datetime
    switched_at: datetime | None = Field(description="since when it has been active, or no longer is")
    kept_until: datetime | None

    @classmethod
    def of(cls, row: IndexGeneration) -> "GenerationInfo":
        return cls(**row.model_dump(include=set(cls.model_fields)))


class GenerationPage(BaseModel):
    """Some of a collection's generations, the newest first."""

    results: list[GenerationInfo]
    next_cursor: str | None


@router.post("/reindex", status_code=202)
async def reindex(new: NewMove, state: CurrentState, principal: Manager, response: Response) -> MoveAccepted:
    """Move collections to another vector store or embedding model. A job does it while they are asked and changed: what is
    there is copied, or embedded anew with another model, then verified, then questions are answered from it. What was there
    before is kept for a while, to go back to."""
    return await _accepted(state, response, await _relocation(state).ask(principal, new.to_move()))


@router.get("/collections/{name}/generations", response_model=GenerationPage)
async def list_generations(name: Name, state: CurrentState, principal: Manager, paging: Paging) -> dict[str, Any]:
    """List where a collection's vectors are, were, and are being brought."""
    collection = await state.library.collections.get(principal, name)
    rows = [GenerationInfo.of(row) for row in await _relocation(state).page(collection)]
    return page_of(rows, paging, lambda row: row.id)


@router.post("/collections/{name}/rollback", status_code=202)
async def roll_back(name: Name, state: CurrentState, principal: Manager, response: Response) -> MoveAccepted:
    """Go back to the generation that was active last. A job brings it up to what has changed since, then questions are answered
    from it."""
    collection = await state.library.collections.get(principal, name)
    return await _accepted(state, response, await _relocation(state).go_back(principal, collection))


@router.delete("/collections/{name}/generations/{generation_id}", status_code=204)
async def drop_generation(name: Name, generation_id: GenerationID, state: CurrentState, principal: Manager) -> Response:
    """Drop a generation that is kept, now rather than when its time is over."""
    collection = await state.library.collections.get(principal, name)
    await _relocation(state).drop(principal, collection, generation_id)
    return Response(status_code=204)


def _relocation(state: State) -> Relocation:
    library = state.library
    return Relocation(state.settings, state.database, library.resources, library.generations)


async def _accepted(state: State, response: Response, asked: tuple[Any, list[str]]) -> MoveAccepted:
    job, generations = asked
    await state.queue.send_all(WORK, [(one,) for one in generations], queue=QUEUE)
    response.headers["location"] = f"/api/v1/jobs/{job.id}"
    return MoveAccepted(job_id=job.id, collections=len(generations))
