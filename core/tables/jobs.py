"""Jobs and the events that they tell of their progress."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from core.principals import DEFAULT_TENANT
from core.tables.columns import created_now, identifier, json_list, json_object, json_object_or_none, moment


class JobState(StrEnum):
    """The states of the public contract."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class Job(SQLModel, table=True):
    """`principal` is its owner when it was made (`Principal.to_job`): it is worked on with these rights. `errors` holds
    `{document, code, message}` for each part that failed. A job whose every part failed has failed, one whose every part was
    deleted first is cancelled. While it is paused (`paused_at`), none of its parts is begun. `result` is what there is to tell
    at its end; None where that is nothing."""

    __tablename__ = "jobs"

    id: str = identifier("job")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64, index=True)
    owner: str = Field(max_length=64, index=True, description="the principal's id")
    principal: dict[str, Any] = json_object()
    kind: str = Field(max_length=32)
    state: str = Field(default=JobState.QUEUED.value, max_length=16, index=True)
    arguments: dict[str, Any] = json_object()
    done: int = 0
    total: int = 0
    failed: int = Field(default=0, description="of those that are done")
    skipped: int = Field(
        default=0, description="of those that are done: what is unchanged", sa_column_kwargs={"server_default": "0"}
    )
    removed: int = Field(
        default=0, description="of those that are done: what was deleted first", sa_column_kwargs={"server_default": "0"}
    )
    errors: list[dict[str, Any]] = json_list()
    result: dict[str, Any] | None = json_object_or_none()
    traceparent: str | None = Field(default=None, max_length=64, description="W3C's, of the span that it was made in")
    created_at: datetime = created_now()
    started_at: datetime | None = moment()
    finished_at: datetime | None = moment()
    paused_at: datetime | None = moment()


class JobEvent(SQLModel, table=True):
    """Numbered from 1 within a job: the number is the event id that `Last-Event-ID` resumes after."""

    __tablename__ = "job_events"
    __table_args__ = (UniqueConstraint("job_id", "number"),)

    id: int | None = Field(default=None, primary_key=True)
    job_id: str = Field(foreign_key="jobs.id", ondelete="CASCADE", max_length=64, index=True)
    number: int
    event: str = Field(max_length=32)
    data: dict[str, Any] = json_object()
    created_at: datetime = created_now()
