"""Answers kept under an `Idempotency-Key`."""

from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary
from sqlmodel import Field, SQLModel

from core.tables.columns import created_now, json_list_or_none, json_object, required_moment


class IdempotencyRecord(SQLModel, table=True):
    """`id` is a hash of tenant, principal, rights, method, path and key; `fingerprint` of the body, keyed with the
    installation's secret. `status` is None while the
    first request is still being answered. Where nothing is kept of requests, `fingerprint` and `body` stay empty.
    `document_ids` are the documents that the answer names, None where it names none: when one is deleted, the same is left
    of it."""

    __tablename__ = "idempotency_records"

    id: str = Field(primary_key=True, max_length=64)
    tenant: str = Field(max_length=64, index=True)
    owner: str | None = Field(default=None, max_length=64, index=True, description="the principal's id")
    fingerprint: str = Field(max_length=64)
    status: int | None = None
    headers: dict[str, Any] = json_object()
    document_ids: list[str] | None = json_list_or_none()
    body: bytes | None = Field(default=None, sa_type=LargeBinary)
    created_at: datetime = created_now()
    expires_at: datetime = required_moment(index=True)
