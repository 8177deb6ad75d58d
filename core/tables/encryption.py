"""Data keys, which seal what a tenant stores, and the state of a rotation."""

from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary
from sqlmodel import Field, SQLModel

from core.tables.columns import created_now, identifier, json_object, moment


class WrappedKey(SQLModel, table=True):
    """A tenant's data key, wrapped by a key-encryption key that is not here. The newest that is not retired seals; all of them
    open. `wrapped_by` names the source and the key that has wrapped it."""

    __tablename__ = "data_keys"

    id: str = Field(primary_key=True, max_length=64, description="12 random bytes, hexadecimal")
    tenant: str = Field(max_length=64, index=True)
    wrapped: bytes = Field(sa_type=LargeBinary)
    wrapped_by: str = Field(max_length=512)
    created_at: datetime = created_now()
    retired_at: datetime | None = moment()


class KeyRotation(SQLModel, table=True):
    """A rotation, and how far it has come: `positions` holds the last row that was looked at, by table. One that was cut short
    goes on at the next call."""

    __tablename__ = "key_rotations"

    id: str = identifier("rot")
    positions: dict[str, Any] = json_object()
    resealed: int = Field(default=0, description="values and files that were sealed anew")
    started_at: datetime = created_now()
    finished_at: datetime | None = moment()
