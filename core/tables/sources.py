"""Where a collection's documents come from by themselves, and when they are looked for."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.principals import DEFAULT_TENANT
from core.tables.columns import created_now, identifier, json_list, json_object, json_object_or_none, moment


class SourceState(StrEnum):
    """How its last crawl ended; `new` before there was one."""

    NEW = "new"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Source(SQLModel, table=True):
    """A place whose files are documents of a collection. Their names begin with the source's name.

    `kind` and what it is to be found by, `location`, are for `retrievers.SOURCES`. `secrets` is sealed: what opens the place;
    `hint` tells two apart. Files are taken that fit one of `include`, where there are any, and none of `exclude`.
    `attributes` are those of its documents. `prune`: what is no longer there is deleted.

    `schedule` says when it is crawled by itself (`retrievers.sources.schedules`), and `next_at` when that is next: with the
    rights of `principal`, who made it or last gave it an address. `job_id` is the crawl that has been asked for or runs;
    `lease` is of the worker that does it. `last_*` tell of the one that ended last.
    """

    __tablename__ = "sources"
    __table_args__ = (UniqueConstraint("collection_id", "name"),)

    id: str = identifier("src")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64, index=True)
    collection_id: str = Field(foreign_key="collections.id", ondelete="CASCADE", max_length=64)
    owner: str = Field(max_length=64, description="the principal's id")
    principal: dict[str, Any] = json_object()
    name: str = Field(max_length=64)
    kind: str = Field(max_length=32)
    location: dict[str, Any] = json_object()
    secrets: dict[str, Any] | None = Field(default=None, sa_type=JSON(none_as_null=True), nullable=True)
    hint: str = Field(default="", max_length=16)
    include: list[str] = json_list()
    exclude: list[str] = json_list()
    attributes: dict[str, Any] = json_object()
    prune: bool = False
    schedule: dict[str, Any] | None = json_object_or_none()
    next_at: datetime | None = moment(index=True)
    paused_at: datetime | None = moment()
    job_id: str | None = Field(default=None, max_length=64, index=True)
    attempts: int = Field(default=0, description="tries of the crawl, counted before the work")
    crawls: int = Field(default=0, sa_type=BigInteger, description="crawls that have ended")
    last_at: datetime | None = moment()
    last_state: str = Field(default=SourceState.NEW.value, max_length=16)
    last_job_id: str | None = Field(default=None, max_length=64)
    last_result: dict[str, Any] | None = json_object_or_none()
    lease: str | None = Field(default=None, max_length=32)
    leased_until: datetime | None = moment()
    created_at: datetime = created_now()
    updated_at: datetime = created_now()
