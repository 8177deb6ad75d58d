"""What several tables share: identifiers and time columns."""

import secrets
from collections.abc import Callable
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field

from core.database import UTCDateTime, utc_now

ID_BYTES = 12


def new_id(prefix: str) -> Callable[[], str]:
    """A factory of identifiers such as `doc_3QzY…`: 96 random bits, so that they cannot be guessed."""
    return lambda: f"{prefix}_{secrets.token_urlsafe(ID_BYTES).replace('-', 'a').replace('_', 'b')}"


def identifier(prefix: str) -> Any:
    """A primary key that is made when the row is."""
    return Field(default_factory=new_id(prefix), primary_key=True, max_length=64)


def created_now() -> Any:
    """The time at which the row was made."""
    return Field(default_factory=utc_now, sa_type=UTCDateTime, nullable=False)


def moment(*, index: bool = False) -> Any:
    """A time that may be missing (None: it has not happened)."""
    return Field(default=None, sa_type=UTCDateTime, nullable=True, index=index)


def required_moment(*, index: bool = False) -> Any:
    """A time that every row has and the writer gives."""
    return Field(sa_type=UTCDateTime, nullable=False, index=index)


def json_object() -> Any:
    """A JSON object. Assign a new one to change it: changes inside are not seen."""
    return Field(default_factory=dict, sa_type=JSON, nullable=False)


def json_object_or_none() -> Any:
    """A JSON object, or NULL where there is none."""
    return Field(default=None, sa_type=JSON(none_as_null=True), nullable=True)


def json_list_or_none() -> Any:
    """A JSON array, or NULL where there is none."""
    return Field(default=None, sa_type=JSON(none_as_null=True), nullable=True)


def json_list() -> Any:
    """A JSON array. Assign a new one to change it: changes inside are not seen."""
    return Field(default_factory=list, sa_type=JSON, nullable=False)
