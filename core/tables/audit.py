"""What is on record: a chain of events for each tenant, and where each chain ends. Triggers refuse to change them."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from core.tables.columns import json_object, required_moment


def _number(*, primary_key: bool = False) -> Any:
    return Field(primary_key=primary_key, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False}, nullable=False)


class AuditEvent(SQLModel, table=True):
    """One sensitive act, or an attempt at one. Rows are added, never changed: `core.audit.chain` writes them.

    `hash` covers every field but `address`, for which `address_digest` stands: an address may be erased, not replaced.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_at", "tenant", "at"),
        Index("ix_audit_events_action", "tenant", "action", "number"),
        Index("ix_audit_events_actor", "tenant", "actor", "number"),
        Index("ix_audit_events_object", "tenant", "object_id", "number"),
    )

    tenant: str = Field(primary_key=True, max_length=64)
    number: int = _number(primary_key=True)
    at: datetime = required_moment()
    action: str = Field(max_length=64)
    outcome: str = Field(max_length=16)
    actor: str = Field(max_length=64, description="the principal's identifier")
    key_id: str | None = Field(default=None, max_length=64)
    object_type: str | None = Field(default=None, max_length=64)
    object_id: str | None = Field(default=None, max_length=200)
    address: str | None = Field(default=None, max_length=64, description="where the request came from")
    address_digest: str | None = Field(default=None, max_length=64)
    request_id: str | None = Field(default=None, max_length=64)
    details: dict[str, Any] = json_object()
    previous_hash: str = Field(max_length=64)
    hash: str = Field(max_length=64, description="HMAC-SHA256, hexadecimal")


class AuditHead(SQLModel, table=True):
    """The end of a tenant's chain: how many events it has, and the hash of the last. `seal` is an HMAC-SHA256 over both, so
    that a chain that was cut cannot be given an earlier end."""

    __tablename__ = "audit_heads"

    tenant: str = Field(primary_key=True, max_length=64)
    number: int = _number()
    hash: str = Field(max_length=64)
    seal: str = Field(max_length=64)
