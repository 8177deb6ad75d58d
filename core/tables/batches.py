"""Batches: files of requests, and the requests that a batch answers one by one."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import LargeBinary, Text
from sqlmodel import Field, SQLModel

from core.principals import DEFAULT_TENANT
from core.tables.columns import created_now, identifier, json_list, json_object, moment, required_moment


class BatchState(StrEnum):
    """The states of OpenAI's batch object."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        return self in (BatchState.COMPLETED, BatchState.FAILED, BatchState.EXPIRED, BatchState.CANCELLED)


class RowState(StrEnum):
    """How one request of a batch stands."""

    PENDING = "pending"
    ANSWERED = "answered"
    FAILED = "failed"


class StoredFile(SQLModel, table=True):
    """A file that a caller uploaded to be worked on, or that a batch wrote. The bytes are in the file store."""

    __tablename__ = "stored_files"

    id: str = identifier("file")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64, index=True)
    owner: str = Field(max_length=64, index=True, description="the principal's id")
    purpose: str = Field(max_length=32, description="batch: requests; batch_output: what a batch wrote")
    name: str = Field(max_length=512)
    size: int = Field(description="bytes")
    created_at: datetime = created_now()

    @property
    def key(self) -> str:
        """Where the file store has the bytes."""
        return f"files/{self.id}"


class UnclaimedFile(SQLModel, table=True):
    """A key of the file store that is about to be written, or to be deleted: no `StoredFile` points at it yet, or any more."""

    __tablename__ = "unclaimed_files"

    key: str = Field(primary_key=True, max_length=128)
    created_at: datetime = created_now()


class Batch(SQLModel, table=True):
    """Requests that are answered in the background. `endpoint` is the path that each would be sent to by itself.

    `principal` is its owner when it was made (`Principal.to_job`): it is worked on with these rights. A worker that has it
    holds `lease` until `leased_until`. `collections` are those that its maker's key was for: see `core.stored_files.reach`.
    """

    __tablename__ = "batches"

    id: str = identifier("batch")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64, index=True)
    owner: str = Field(max_length=64, index=True, description="the principal's id")
    principal: dict[str, Any] = json_object()
    collections: str | None = Field(default=None, sa_type=Text)
    endpoint: str = Field(max_length=64)
    state: str = Field(default=BatchState.VALIDATING.value, max_length=16, index=True)
    job_id: str = Field(foreign_key="jobs.id", max_length=64, index=True)
    input_file_id: str = Field(max_length=64)
    output_file_id: str | None = Field(default=None, max_length=64)
    error_file_id: str | None = Field(default=None, max_length=64)
    total: int = 0
    answered: int = 0
    failed: int = 0
    labels: dict[str, Any] = json_object()
    errors: list[dict[str, Any]] = json_list()
    lease: str | None = Field(default=None, max_length=32)
    leased_until: datetime | None = moment(index=True)
    created_at: datetime = created_now()
    expires_at: datetime = required_moment()
    started_at: datetime | None = moment()
    cancelling_at: datetime | None = moment()
    finalizing_at: datetime | None = moment()
    ended_at: datetime | None = moment()


class BatchRow(SQLModel, table=True):
    """One request of a batch: `length` bytes of the input file from `position` on. `result` is its line of the output, kept
    until the output is written. `attempts` are counted before the work."""

    __tablename__ = "batch_rows"

    batch_id: str = Field(primary_key=True, foreign_key="batches.id", ondelete="CASCADE", max_length=64)
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    custom_id: str = Field(max_length=512)
    position: int
    length: int
    state: str = Field(default=RowState.PENDING.value, max_length=16)
    attempts: int = 0
    result: bytes | None = Field(default=None, sa_type=LargeBinary)
