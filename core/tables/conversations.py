"""Kept conversations and their messages."""

from datetime import datetime
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from core.principals import DEFAULT_TENANT
from core.tables.columns import created_now, identifier, json_list_or_none, json_object


class Conversation(SQLModel, table=True):
    """`name` is the caller's own `session_id`, unique among what the owner keeps under one capability. `privacy` holds the
    pseudonyms of its personal data: as secret as its messages. `collections` are the names of those that were asked in it; None
    in one from before that was kept: it is not known."""

    __tablename__ = "conversations"
    __table_args__ = (UniqueConstraint("tenant", "owner", "name"),)

    id: str = identifier("ses")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64)
    owner: str = Field(max_length=64, description="the principal's id")
    name: str = Field(max_length=200)
    capability: str = Field(default="chat", max_length=32)
    privacy: dict[str, Any] = json_object()
    collections: list[str] | None = json_list_or_none()
    created_at: datetime = created_now()
    updated_at: datetime = created_now()


class ConversationMessage(SQLModel, table=True):
    """One message; positions count from 0 within a conversation."""

    __tablename__ = "conversation_messages"
    __table_args__ = (UniqueConstraint("conversation_id", "position"),)

    id: str = identifier("msg")
    conversation_id: str = Field(foreign_key="conversations.id", ondelete="CASCADE", max_length=64, index=True)
    position: int
    role: str = Field(max_length=16)
    payload: dict[str, Any] = json_object()
    created_at: datetime = created_now()


class AnswerSource(SQLModel, table=True):
    """A document that a kept answer stands on: when it is deleted, what the answer says goes with it."""

    __tablename__ = "answer_sources"

    message_id: str = Field(foreign_key="conversation_messages.id", ondelete="CASCADE", max_length=64, primary_key=True)
    document_id: str = Field(max_length=64, primary_key=True, index=True)
    conversation_id: str = Field(foreign_key="conversations.id", ondelete="CASCADE", max_length=64, index=True)
