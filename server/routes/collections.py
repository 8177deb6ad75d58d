"""Collections: named sets of documents that are searched together."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from core.errors import InvalidRequest
from core.principals import Principal, Scope
from core.tables import Collection, ShareAccess, ShareKind
from retrievers.base import Shelf
from retrievers.collections import NAME_PATTERN
from retrievers.holds import of_collection
from retrievers.sharing import MOST_SHARES, Level, Share
from retrievers.splitting_settings import SETTING as SPLITTING
from retrievers.splitting_settings import Splitting, splitting_of
from retrievers.steps.settings import SETTING, RetrievalSteps, steps_of
from retrievers.upkeep import QUEUE, RECONCILE, Upkeep
from server.auth import requires
from server.pagination import Paging, page
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/rag/collections", tags=["Collections"])

Reader = Annotated[Principal, requires(Scope.RAG_READ, Scope.RAG_SEARCH)]
Writer = Annotated[Principal, requires(Scope.RAG_WRITE)]
#: Whose right over the collection itself decides.
Owner = Annotated[Principal, requires(Scope.RAG_WRITE, Scope.RAG_MANAGE)]
CollectionName = Annotated[str, Path(description="the collection's name", examples=["handbook"])]


_ACCESS: dict[Level, Literal["read", "write", "manage"]] = {
    Level.READ: "read",
    Level.WRITE: "write",
    Level.MANAGE: "manage",
}


class CollectionSettings(BaseModel):
    """Nothing: what a collection may have otherwise than the platform's defaults has fields of its own."""

    model_config = ConfigDict(extra="forbid")


class ShareInfo(BaseModel):
    """With whom a collection is shared, and for what."""

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={"examples": [{"with": "role", "id": "user", "access": "read"}]},
    )

    kind: ShareKind = Field(alias="with", description="user: a user, or a key that stands for itself")
    id: str = Field("", max_length=64, description="of the user, key or team; the name of the role; empty for the tenant")
    access: ShareAccess = Field(ShareAccess.READ, description="write: add and delete documents; who may write may read")

    def to_share(self) -> Share:
        return Share(self.kind, self.id, self.access)


class Shares(BaseModel):
    """Whom a collection is shared with, beside its owner and who manages collections."""

    model_config = ConfigDict(extra="forbid")

    shares: list[ShareInfo] = Field(max_length=MOST_SHARES)

    @classmethod
    def of(cls, shares: list[Share]) -> "Shares":
        return cls(shares=[ShareInfo(kind=one.kind, id=one.subject, access=one.access) for one in shares])


class NewCollection(BaseModel):
    """A collection to make. It is its maker's alone until it is shared."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "contracts", "description": "Signed contracts since 2019"}]}
    )

    name: str = Field(pattern=NAME_PATTERN, description="unique; `a-z 0-9 _ -`")
    description: str = Field("", max_length=2000)
    settings: CollectionSettings = CollectionSettings()
    retrieval: RetrievalSteps = Field(RetrievalSteps(), description="optional steps of its searches; none by default")
    splitting: Splitting = Field(Splitting(), description="how its documents are split; by default as the settings say")
    shares: list[ShareInfo] = Field(default_factory=list, max_length=MOST_SHARES, description="whom it is shared with")


class CollectionChanges(BaseModel):
    """What is to be changed; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    description: str | None = Field(None, max_length=2000)
    retrieval: RetrievalSteps | None = Field(
        None, description="the optional steps of its searches from now on, all of them; `{}` for none"
    )
    splitting: Splitting | None = Field(
        None,
        description="how documents are split from now on; `{}` for the platform's settings. Those that are there are read "
        "again by `POST …/refresh`",
    )

    @model_validator(mode="after")
    def _changes_something(self) -> "CollectionChanges":
        if self.description is None and self.retrieval is None and self.splitting is None:
            raise ValueError("give description, retrieval or splitting")
        return self


class DocumentCounts(BaseModel):
    """Documents by state."""

    total: int
    queued: int
    processing: int
    ready: int
    failed: int


class Fusion(BaseModel):
    """How meaning and words are weighed in a collection's hybrid searches, and what that was found by: with sentences of its
    own, each asked for where the rest of its passage should be found."""

    dense_weight: float = Field(description="what meaning weighs; words have what is left to 1")
    probes: int = Field(description="sentences that were asked for; with fewer than 40 the weight is the default")
    dense: float = Field(description="mean reciprocal rank, up to the tenth, by meaning alone")
    lexical: float = Field(description="the same by words alone")
    hybrid: float = Field(description="the same by both, with the default weight")
    chunks: int = Field(description="passages of the collection at that time")
    checked_at: datetime


class CollectionInfo(BaseModel):
    """A collection."""

    id: str
    name: str
    description: str
    retrieval: RetrievalSteps = Field(description="the optional steps of its searches; null: not taken")
    splitting: Splitting = Field(description="how its documents are split; null: as the platform's settings have it")
    fusion: Fusion | None = Field(description="how hybrid searches weigh meaning and words; null: not checked yet, by default")
    documents: DocumentCounts
    chunks: int = Field(description="passages that can be found")
    owner: str | None = Field(description="the principal's id; null: of before collections had owners")
    paused: bool = Field(description="whether what comes in waits until it is resumed")
    access: Literal["read", "write", "manage"] = Field(description="what you may do; manage: share and delete it as well")
    created_at: datetime
    updated_at: datetime


class ReconciliationAccepted(BaseModel):
    """What reconciles the collection."""

    job_id: str


class RefreshAccepted(BaseModel):
    """What reads documents again, and how many."""

    job_id: str
    documents: int


class CollectionPage(BaseModel):
    """Some of the collections."""

    results: list[CollectionInfo]
    next_cursor: str | None


@router.post("", status_code=201)
async def create_collection(new: NewCollection, state: CurrentState, principal: Writer, response: Response) -> CollectionInfo:
    """Make a collection."""
    _check_models(state, new.retrieval)
    _check_size(state, new.splitting, state.settings.retrieval.embeddings)
    given = {SETTING: new.retrieval.stored(), SPLITTING: new.splitting.stored()}
    settings = {name: value for name, value in given.items() if value}
    collection = await state.library.collections.create(
        principal,
        new.name,
        description=new.description,
        shares=[one.to_share() for one in new.shares],
        settings=settings,
    )
    response.headers["location"] = f"{router.prefix}/{collection.name}"
    return (await described(state, principal, [collection]))[0]


@router.get("", response_model=CollectionPage)
async def list_collections(state: CurrentState, principal: Reader, paging: Paging) -> dict[str, object]:
    """List the collections that you may read, by name."""
    rows, following = await state.library.collections.page(principal, limit=paging.limit, after=paging.after)
    return page(await described(state, principal, rows), following)


@router.get("/{name}")
async def get_collection(name: CollectionName, state: CurrentState, principal: Reader) -> CollectionInfo:
    """Show a collection, with its documents counted by state."""
    return (await described(state, principal, [await state.library.collections.get(principal, name)]))[0]


@router.patch("/{name}")
async def change_collection(
    name: CollectionName, changes: CollectionChanges, state: CurrentState, principal: Writer
) -> CollectionInfo:
    """Change a collection's description, the steps of its searches, or how its documents are split."""
    settings: dict[str, Any] = {}
    if changes.retrieval is not None:
        _check_models(state, changes.retrieval)
        settings[SETTING] = changes.retrieval.stored()
    if changes.splitting is not None:
        collection = await state.library.collections.get(principal, name, Level.WRITE)
        generation = await state.library.generations.current(Shelf.of(collection))
        _check_size(state, changes.splitting, generation.embeddings)
        settings[SPLITTING] = changes.splitting.stored()
    collection = await state.library.collections.update(
        principal, name, description=changes.description, settings=settings or None
    )
    return (await described(state, principal, [collection]))[0]


@router.delete("/{name}", status_code=204)
async def delete_collection(name: CollectionName, state: CurrentState, principal: Owner) -> Response:
    """Delete a collection with all of its documents. Its owner may, and who manages collections."""
    await state.library.collections.delete(principal, name)
    return Response(status_code=204)


@router.post("/{name}/reconcile", status_code=202)
async def reconcile_collection(
    name: CollectionName, state: CurrentState, principal: Writer, response: Response
) -> ReconciliationAccepted:
    """Compare what the stores hold of a collection with its documents, and put right what is missing or too much. A job does
    it, whose `result` tells what it found; while one has not ended, the same one."""
    collection = await state.library.collections.get(principal, name, Level.WRITE)
    job = await Upkeep(state.database, lease_s=state.settings.jobs.lease_s).ask(principal, collection)
    await state.queue.send(RECONCILE, collection.id, queue=QUEUE)
    response.headers["location"] = f"/api/v1/jobs/{job.id}"
    return ReconciliationAccepted(job_id=job.id)


@router.post("/{name}/pause")
async def pause_collection(name: CollectionName, state: CurrentState, principal: Writer) -> CollectionInfo:
    """Begin nothing of what comes in, until the collection is resumed. Uploads are taken, and wait; so do its sources."""
    collection = await state.library.collections.get(principal, name, Level.WRITE)
    await state.library.holds.pause(principal, of_collection(collection))
    return await get_collection(name, state, principal)


@router.post("/{name}/resume")
async def resume_collection(name: CollectionName, state: CurrentState, principal: Writer) -> CollectionInfo:
    """Go on with what has waited since the collection was paused."""
    collection = await state.library.collections.get(principal, name, Level.WRITE)
    await state.library.holds.resume(principal, of_collection(collection))
    return await get_collection(name, state, principal)


@router.post("/{name}/cancel")
async def cancel_ingestion(name: CollectionName, state: CurrentState, principal: Writer) -> CollectionInfo:
    """End all ingestion of the collection: what is ready stays, what waits becomes `failed` with the code `cancelled`, and the
    crawls of its sources stop."""
    collection = await state.library.collections.get(principal, name, Level.WRITE)
    await state.library.holds.cancel(principal, of_collection(collection))
    return await get_collection(name, state, principal)


@router.post("/{name}/refresh", status_code=202)
async def refresh_collection(
    name: CollectionName, state: CurrentState, principal: Writer, response: Response
) -> RefreshAccepted:
    """Read again those documents that were read otherwise than they would be now: after the splitting was changed, or by an
    older version of the platform. A job does it; what is found of a document stays until it is ready anew."""
    collection = await state.library.collections.get(principal, name, Level.WRITE)
    job = await state.library.rereading.begin(principal, collection)
    response.headers["location"] = f"/api/v1/jobs/{job.id}"
    return RefreshAccepted(job_id=job.id, documents=job.total)


@router.get("/{name}/shares")
async def get_shares(name: CollectionName, state: CurrentState, principal: Owner) -> Shares:
    """Whom a collection is shared with. Its owner sees it, and who manages collections."""
    return Shares.of(await state.library.collections.shares(principal, name))


@router.put("/{name}/shares")
async def put_shares(name: CollectionName, shares: Shares, state: CurrentState, principal: Owner) -> Shares:
    """Share a collection with users, teams, roles or the whole tenant, to read or to write; with nobody else than is named."""
    given = [one.to_share() for one in shares.shares]
    return Shares.of(await state.library.collections.share(principal, name, given))


def _access(principal: Principal, level: Level) -> Literal["read", "write", "manage"]:
    """What the caller may do: whom a collection is shared with for writing needs the right to write as well."""
    manages = level is Level.MANAGE and principal.may(Scope.RAG_MANAGE)
    return _ACCESS[level] if manages or principal.may(Scope.RAG_WRITE) else "read"


async def described(state: State, principal: Principal, rows: list[Collection]) -> list[CollectionInfo]:
    """Collections as their callers see them, in the order of the rows."""
    counts = await state.library.collections.counts(principal.tenant, [row.id for row in rows])
    levels = await state.library.collections.levels(principal, rows)
    fusions = await state.library.generations.fusions(principal.tenant, [row.id for row in rows])
    return [
        CollectionInfo(
            id=row.id,
            name=row.name,
            description=row.description,
            retrieval=steps_of(row),
            splitting=splitting_of(row),
            fusion=None if (fusion := fusions.get(row.id)) is None else Fusion.model_validate(fusion),
            documents=DocumentCounts.model_validate(counts[row.id]),
            chunks=counts[row.id]["chunks"],
            owner=row.owner,
            paused=row.paused_at is not None,
            access=_access(principal, level),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row, level in zip(rows, levels, strict=True)
    ]


def _check_size(state: State, splitting: Splitting, alias: str) -> None:
    """Refuse passages that the embedding model would read the beginning of.

    Raises:
        InvalidRequest: `passage_too_long`
    """
    window = state.models.facts(alias).context_tokens
    if splitting.tokens is not None and window is not None and splitting.tokens > window:
        raise InvalidRequest(
            f"The embedding model reads {window} tokens of a passage.", code="passage_too_long", param="splitting.tokens"
        )


def _check_models(state: State, steps: RetrievalSteps) -> None:
    """Refuse steps that no search could take: an alias that is none, or of another kind; a cross-encoder where there is none.

    Raises:
        InvalidRequest: `unknown_model`, `no_cross_encoder`
    """
    kinds = state.models.kinds()
    for field, (alias, kind) in steps.models().items():
        if kinds.get(alias) != kind:
            raise InvalidRequest(f"There is no model {alias!r} of the kind {kind}.", code="unknown_model", param=field)
    if steps.rerank is not None and steps.rerank.by == "cross_encoder" and state.settings.retrieval.cross_encoder is None:
        raise InvalidRequest(
            "No cross-encoder is configured here: GENAI_RETRIEVAL__CROSS_ENCODER names its directory.",
            code="no_cross_encoder",
            param="retrieval.rerank.by",
        )
