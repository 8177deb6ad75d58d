"""The registry of models and prompts: immutable versions, which of them is live, and what has happened to each name.

It is the installation's: the aliases of the settings are everybody's, and so are their versions.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.tables.columns import created_now, identifier, json_list, json_object, json_object_or_none, required_moment


class Registered(StrEnum):
    """What has versions."""

    MODEL = "model"
    PROMPT = "prompt"


class VersionState(StrEnum):
    """A draft was made, a candidate was approved or is given some of the requests, a live one all the others. What is retired
    was taken back, or another is live in its place; it can be deployed again."""

    DRAFT = "draft"
    CANDIDATE = "candidate"
    LIVE = "live"
    RETIRED = "retired"


class RegistryVersion(SQLModel, table=True):
    """A version of an alias or a prompt. What it holds never changes; its state and what approved it do."""

    __tablename__ = "registry_versions"
    __table_args__ = (UniqueConstraint("subject", "name", "number"),)

    id: str = identifier("ver")
    subject: str = Field(max_length=16)
    name: str = Field(max_length=128)
    number: int
    content: dict[str, Any] = json_object()
    digest: str = Field(max_length=64, description="of the content")
    state: str = Field(default=VersionState.DRAFT.value, max_length=16, index=True)
    source: str = Field(max_length=16, description="`file`, `import` or `api`")
    created_by: str = Field(max_length=64, description="the principal's id")
    reason: str = Field(default="", max_length=500)
    evaluation: str | None = Field(default=None, max_length=200, description="the run that approved it")
    score: float | None = Field(default=None, description="what that run gave it")
    created_at: datetime = created_now()


class RegistryHead(SQLModel, table=True):
    """Which version of a name is live, and which is given a share of the requests beside it. `step_since` is when the canary's
    step began, and without one when the live version was given all requests."""

    __tablename__ = "registry_heads"

    subject: str = Field(primary_key=True, max_length=16)
    name: str = Field(primary_key=True, max_length=128)
    live: int | None = Field(default=None, description="NULL: the name is not served")
    past: list[int] = json_list()
    candidate: int | None = None
    share: float = Field(default=0.0, description="of the requests, that the candidate is given")
    plan: dict[str, Any] | None = json_object_or_none()
    step: int = 0
    step_since: datetime = required_moment()
    file_digest: str | None = Field(default=None, max_length=64, description="of what the settings last said; NULL: nothing")
    revision: int = Field(default=0, description="grows with every change of the name and its versions")


class RegistryEvent(SQLModel, table=True):
    """A change of a name, with how it stood afterwards. Rows are only added."""

    __tablename__ = "registry_events"
    __table_args__ = (Index("ix_registry_events_name_at", "subject", "name", "at"),)

    id: str = identifier("rev")
    subject: str = Field(max_length=16)
    name: str = Field(max_length=128)
    revision: int
    at: datetime = required_moment()
    act: str = Field(max_length=32)
    version: int | None = None
    live: int | None = None
    candidate: int | None = None
    share: float = 0.0
    created_by: str = Field(max_length=64, description="the principal's id")
    reason: str = Field(default="", max_length=500)
    figures: dict[str, Any] = json_object()
