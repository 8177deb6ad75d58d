"""What people, and programs that judge for them, think of answers."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.principals import DEFAULT_TENANT
from core.tables.columns import created_now, identifier, json_list, json_object


class Feedback(SQLModel, table=True):
    """One principal's judgement of one request; a later one takes its place. `comment` is sealed. `score` is 0 to 1, a thumb up
    is 1; `scores` are judgements by name, as evaluators give them."""

    __tablename__ = "feedback"
    __table_args__ = (UniqueConstraint("tenant", "request_id", "principal"), Index("ix_feedback_created_at", "created_at"))

    id: str = identifier("fb")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64, index=True)
    request_id: str = Field(max_length=64, index=True)
    principal: str = Field(max_length=64, index=True, description="who gave it")
    score: float | None = None
    comment: bytes | None = Field(default=None, sa_type=LargeBinary)
    labels: list[str] = json_list()
    scores: dict[str, Any] = json_object()
    created_at: datetime = created_now()
    updated_at: datetime = created_now()
