"""Sources of a collection: places whose files become its documents, crawled now and by schedule."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from starlette.responses import Response

from core.principals import Principal, Scope
from core.tables import Collection, Source, SourceState
from retrievers.holds import of_source
from retrievers.sharing import Level
from retrievers.sources.catalogue import NAME_PATTERN, NewSource
from server.auth import requires
from server.pagination import Paging, page
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/rag/collections/{name}/sources", tags=["Sources"])

Reader = Annotated[Principal, requires(Scope.RAG_READ)]
Writer = Annotated[Principal, requires(Scope.RAG_WRITE)]
CollectionName = Annotated[str, Path(description="the collection's name", examples=["handbook"])]
SourceID = Annotated[str, Path(description="the source's id", examples=["src_7LmQ2xYz"])]
Kind = Annotated[str, Field(min_length=1, max_length=32, description="folder, urls, sitemap, blobs, or a plugin's")]
Patterns = Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=50)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=16 * 2**10)]
Value = str | int | float | bool


class Location(BaseModel):
    """Where a source is: of a folder `path`, of a list of addresses `urls`, of a sitemap `url`; of a bucket `url`, which begins
    with s3://, gs:// or az://, with `region` and `endpoint` for S3 and `account` for Azure."""

    model_config = ConfigDict(extra="forbid")

    path: str | None = Field(None, max_length=4000, description="absolute, on the server; below one that the settings allow")
    urls: list[Annotated[str, Field(max_length=1000)]] | None = Field(None, min_length=1, max_length=1000)
    url: str | None = Field(None, max_length=1000, description="of a sitemap, of a site, or of a bucket")
    region: str | None = Field(None, max_length=40)
    endpoint: str | None = Field(None, max_length=500, description="of a service beside AWS that the settings allow")
    account: str | None = Field(None, max_length=24, description="the storage account, of Azure")


class SourceSecrets(BaseModel):
    """What opens a bucket; without, it is read as everybody may."""

    model_config = ConfigDict(extra="forbid")

    access_key_id: Secret | None = Field(None, description="S3, with secret_access_key")
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    service_account: Secret | None = Field(None, description="Google: the JSON key file of a service account")
    account_key: Secret | None = Field(None, description="Azure: or sas_token")
    sas_token: Secret | None = None

    def given(self) -> dict[str, str]:
        """The values, by name."""
        return {name: value.get_secret_value() for name, value in self if value is not None}


class Schedule(BaseModel):
    """When a source is crawled by itself: every so many minutes, or at times of the clock."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"cron": "0 3 * * *", "time_zone": "Europe/Berlin"}]}
    )

    every_minutes: int | None = Field(None, ge=1, le=525_600)
    cron: str | None = Field(None, max_length=200, description="minute, hour, day, month, day of the week")
    time_zone: str | None = Field(None, max_length=64, description="of `cron`, by its name; empty: UTC")

    @model_validator(mode="after")
    def _is_one(self) -> "Schedule":
        if (self.every_minutes is None) == (self.cron is None):
            raise ValueError("give every_minutes or cron")
        if self.time_zone is not None and self.cron is None:
            raise ValueError("a time zone goes with cron")
        return self


class SourceFields(BaseModel):
    """What a source may be changed in."""

    model_config = ConfigDict(extra="forbid")

    location: Location
    secrets: SourceSecrets | None = None
    include: Patterns = Field(default_factory=list, description="only files that fit one of these, such as `*.md`; empty: all")
    exclude: Patterns = Field(default_factory=list, description="no files that fit one of these; `*` goes over `/` as well")
    metadata: dict[str, Value] = Field(default_factory=dict, description="of each of its documents, beside `source` and `url`")
    prune: bool = Field(False, description="delete documents whose file is no longer there")
    schedule: Schedule | None = Field(None, description="null: only when somebody asks")


class NewSourceBody(SourceFields):
    """A source to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "intranet",
                    "kind": "sitemap",
                    "location": {"url": "https://docs.example.com/sitemap.xml"},
                    "prune": True,
                    "schedule": {"every_minutes": 360},
                }
            ]
        },
    )

    name: str = Field(pattern=NAME_PATTERN, description="unique in its collection; its documents' names begin with it")
    kind: Kind

    def to_source(self) -> NewSource:
        return NewSource(
            name=self.name,
            kind=self.kind,
            location=self.location.model_dump(exclude_none=True),
            secrets=self.secrets.given() if self.secrets is not None else None,
            include=self.include,
            exclude=self.exclude,
            attributes=self.metadata,
            prune=self.prune,
            schedule=self.schedule.model_dump(exclude_none=True) if self.schedule is not None else None,
        )


class SourceChanges(BaseModel):
    """What is to be changed; what is left out stays. With another location, secrets are given anew."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"prune": True}]})

    location: Location | None = None
    secrets: SourceSecrets | None = Field(None, description="null: none any more")
    include: Patterns | None = None
    exclude: Patterns | None = None
    metadata: dict[str, Value] | None = None
    prune: bool | None = None
    schedule: Schedule | None = Field(None, description="null: only when somebody asks")

    @model_validator(mode="after")
    def _changes_something(self) -> "SourceChanges":
        if not self.model_fields_set:
            raise ValueError("give something to change")
        for name in self.model_fields_set - {"secrets", "schedule"}:
            if getattr(self, name) is None:
                raise ValueError(f"{name} may be left out, but not be null")
        return self

    def given(self) -> dict[str, Any]:
        """What is named, as `Sources.update` takes it."""
        changes = {name: getattr(self, name) for name in self.model_fields_set}
        for name in ("location", "schedule"):
            if changes.get(name) is not None:
                changes[name] = changes[name].model_dump(exclude_none=True)
        if changes.get("secrets") is not None:
            changes["secrets"] = changes["secrets"].given()
        return {"attributes" if name == "metadata" else name: value for name, value in changes.items()}


class CrawlInfo(BaseModel):
    """The crawl that ended last."""

    state: SourceState
    at: datetime
    job_id: str | None
    result: dict[str, Any] | None = Field(
        description="how many files were found, new, changed, the same, failed, left out and gone, and how many documents of "
        "gone ones were deleted; of a failed crawl its code and message"
    )


class SourceInfo(BaseModel):
    """A source; never its secrets."""

    id: str
    name: str
    kind: str
    location: dict[str, Any]
    hint: str = Field(description="the first characters of a secret; empty: none is shown")
    has_secrets: bool
    include: list[str]
    exclude: list[str]
    metadata: dict[str, Any]
    prune: bool
    schedule: dict[str, Any] | None
    paused: bool
    owner: str = Field(description="with whose rights it is crawled by its schedule")
    documents: dict[str, int] = Field(description="by state")
    crawl_job_id: str | None = Field(description="the crawl that goes on, or waits; null: none")
    next_at: datetime | None = Field(description="when it is crawled next by itself")
    last_crawl: CrawlInfo | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: Source, documents: dict[str, int]) -> "SourceInfo":
        last = None
        if row.last_at is not None:
            state = SourceState(row.last_state)
            last = CrawlInfo(state=state, at=row.last_at, job_id=row.last_job_id, result=row.last_result)
        plain = ("id", "name", "kind", "location", "hint", "include", "exclude", "prune", "schedule", "owner", "next_at")
        return cls(
            **row.model_dump(include={*plain, "created_at", "updated_at"}),
            has_secrets=row.secrets is not None,
            metadata=row.attributes,
            paused=row.paused_at is not None,
            documents=documents,
            crawl_job_id=row.job_id,
            last_crawl=last,
        )


class SourcePage(BaseModel):
    """Some of the sources."""

    results: list[SourceInfo]
    next_cursor: str | None


class CrawlAccepted(BaseModel):
    """What crawls the source."""

    job_id: str


@router.post("", status_code=201)
async def create_source(
    name: CollectionName, new: NewSourceBody, state: CurrentState, principal: Writer, response: Response
) -> SourceInfo:
    """Make a source. It is crawled when somebody asks, and by its schedule from the schedule's next time on."""
    collection = await state.library.collections.get(principal, name, Level.WRITE)
    row = await state.library.sources.create(principal, collection, new.to_source())
    response.headers["location"] = f"/api/v1/rag/collections/{name}/sources/{row.id}"
    return SourceInfo.of(row, {})


@router.get("", response_model=SourcePage)
async def list_sources(name: CollectionName, state: CurrentState, principal: Reader, paging: Paging) -> dict[str, object]:
    """List the sources of a collection by name, with their last crawl and the next."""
    collection = await state.library.collections.get(principal, name)
    rows, following = await state.library.sources.page(collection, limit=paging.limit, after=paging.after)
    counts = await state.library.sources.counts(collection.tenant, [row.id for row in rows])
    return page([SourceInfo.of(row, counts[row.id]) for row in rows], following)


@router.get("/{source_id}")
async def get_source(name: CollectionName, source_id: SourceID, state: CurrentState, principal: Reader) -> SourceInfo:
    """Show a source."""
    return await _shown(state, await state.library.collections.get(principal, name), source_id)


@router.patch("/{source_id}")
async def change_source(
    name: CollectionName, source_id: SourceID, changes: SourceChanges, state: CurrentState, principal: Writer
) -> SourceInfo:
    """Change a source. Documents take up its metadata and patterns with the next crawl that reads them."""
    collection = await state.library.collections.get(principal, name, Level.WRITE)
    await state.library.sources.update(principal, collection, source_id, changes.given())
    return await _shown(state, collection, source_id)


@router.delete("/{source_id}", status_code=204)
async def delete_source(
    name: CollectionName,
    source_id: SourceID,
    state: CurrentState,
    principal: Writer,
    documents: Annotated[bool, Query(description="delete its documents, too; else they stay")] = False,
) -> Response:
    """Delete a source. A crawl of it stops."""
    collection = await state.library.collections.get(principal, name, Level.WRITE)
    for row in await state.library.sources.delete(principal, collection, source_id, documents=documents):
        await state.library.documents.purge(row)
    return Response(status_code=204)


@router.post("/{source_id}/crawl", status_code=202)
async def crawl_source(
    name: CollectionName, source_id: SourceID, state: CurrentState, principal: Writer, response: Response
) -> CrawlAccepted:
    """Crawl a source now. A job does it, whose parts are the documents that are new or changed, and whose `result` tells what
    was found; while one has not ended, the same one."""
    collection = await state.library.collections.get(principal, name, Level.WRITE)
    job = await state.library.sources.crawl(principal, collection, source_id)
    response.headers["location"] = f"/api/v1/jobs/{job.id}"
    return CrawlAccepted(job_id=job.id)


@router.post("/{source_id}/pause")
async def pause_source(name: CollectionName, source_id: SourceID, state: CurrentState, principal: Writer) -> SourceInfo:
    """Crawl a source no more, and begin none of its documents, until it is resumed."""
    collection, row = await _writable(state, principal, name, source_id)
    await state.library.holds.pause(principal, of_source(row))
    return await _shown(state, collection, source_id)


@router.post("/{source_id}/resume")
async def resume_source(name: CollectionName, source_id: SourceID, state: CurrentState, principal: Writer) -> SourceInfo:
    """Go on with a source that was paused. A time of its schedule that has come meanwhile is made up for, once."""
    collection, row = await _writable(state, principal, name, source_id)
    await state.library.holds.resume(principal, of_source(row))
    return await _shown(state, collection, source_id)


@router.post("/{source_id}/cancel")
async def cancel_source(name: CollectionName, source_id: SourceID, state: CurrentState, principal: Writer) -> SourceInfo:
    """End the crawl of a source: documents of it that wait become `failed` with the code `cancelled`. The next crawl takes them
    up again."""
    collection, row = await _writable(state, principal, name, source_id)
    await state.library.holds.cancel(principal, of_source(row))
    return await _shown(state, collection, source_id)


async def _writable(state: State, principal: Principal, name: str, source_id: str) -> tuple[Collection, Source]:
    collection = await state.library.collections.get(principal, name, Level.WRITE)
    return collection, await state.library.sources.get(collection, source_id)


async def _shown(state: State, collection: Collection, source_id: str) -> SourceInfo:
    row = await state.library.sources.get(collection, source_id)
    counts = await state.library.sources.counts(collection.tenant, [source_id])
    return SourceInfo.of(row, counts[source_id])
