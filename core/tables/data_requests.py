"""Requests about all of somebody's data: that it be erased, or exported."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from core.principals import DEFAULT_TENANT
from core.tables.columns import created_now, identifier, json_object, moment


class DataRequestKind(StrEnum):
    """What is asked for."""

    ERASE_USER = "erase_user"
    ERASE_TENANT = "erase_tenant"
    EXPORT = "export"
    SNAPSHOT = "snapshot"
    RESTORE = "restore"


class DataRequest(SQLModel, table=True):
    """One of them, with its job. `subject` is whose data it is about: a user's identifier, or a tenant's; of a snapshot, and of
    its restoring, a collection's.

    `tenant` is that of whoever asked, in which the request outlives a tenant that is erased; `subject_tenant` is where the data
    is. `found` counts what was found by kind and place. A worker that has it holds `lease` until `leased_until`. After an
    erasure somebody looks once more at `settle_at`, for what was still being written. An export or a snapshot lies under
    `file_key` until `expires_at`.
    """

    __tablename__ = "data_requests"

    id: str = identifier("data")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64, index=True)
    job_id: str = Field(foreign_key="jobs.id", ondelete="CASCADE", max_length=64, index=True)
    kind: str = Field(max_length=16)
    subject: str = Field(max_length=64, index=True)
    subject_tenant: str = Field(max_length=64)
    found: dict[str, Any] = json_object()
    attempts: int = 0
    lease: str | None = Field(default=None, max_length=32)
    leased_until: datetime | None = moment()
    created_at: datetime = created_now()
    finished_at: datetime | None = moment()
    settle_at: datetime | None = moment(index=True)
    file_key: str = Field(default="", max_length=128)
    size: int = Field(default=0, sa_type=BigInteger, description="bytes of the file")
    expires_at: datetime | None = moment()
