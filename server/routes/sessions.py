"""`/api/v1/sessions`: kept conversations, of whoever asks."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from starlette.responses import Response

from chains.kept_citations import KeptCitation, Reopening
from core.principals import Principal, Scope
from server.auth import requires
from server.pagination import Paging, encode_cursor, page
from server.state import CurrentState

router = APIRouter(prefix="/api/v1/sessions", tags=["Sessions"])

SessionId = Annotated[str, Path(max_length=128, description="the `session_id` that was given with a message")]


class Session(BaseModel):
    """A kept conversation. `session_id` is the caller's own name for it."""

    session_id: str
    capability: str
    created_at: datetime
    updated_at: datetime


class SessionPage(BaseModel):
    """Sessions, newest first."""

    results: list[Session]
    next_cursor: str | None


class KeptMessage(BaseModel):
    """A message of a conversation; `position` counts from 0."""

    position: int
    role: str
    content: Any
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    citations: list[KeptCitation] | None = Field(
        None,
        description="where an answer from a collection comes from, as far as its documents still say so and you may read them",
    )
    created_at: datetime


class SessionWithMessages(Session):
    """A conversation and a page of its messages, oldest first."""

    messages: list[KeptMessage]
    next_cursor: str | None


@router.get("", summary="List sessions", response_model=SessionPage)
async def list_sessions(
    state: CurrentState, paging: Paging, principal: Annotated[Principal, requires(Scope.CHAT_INVOKE)]
) -> Any:
    """Your kept conversations, newest first."""
    sessions, position = await state.conversations.page(principal, limit=paging.limit, after=paging.after)
    return page(sessions, position)


@router.get("/{session_id}", summary="Read a session", response_model=SessionWithMessages, response_model_exclude_none=False)
async def read_session(
    session_id: SessionId, state: CurrentState, paging: Paging, principal: Annotated[Principal, requires(Scope.CHAT_INVOKE)]
) -> Any:
    """A conversation with its messages, oldest first, a page at a time."""
    info, kept, position = await state.conversations.read(principal, session_id, limit=paging.limit, after=paging.after)
    reopening = Reopening(state.library, principal)
    messages = [
        {
            "position": one.position,
            "created_at": one.created_at,
            **one.message.model_dump(mode="json"),
            "citations": await reopening.opened(one.cited) if one.cited else None,
        }
        for one in kept
    ]
    return {
        "session_id": info.session_id,
        "capability": info.capability,
        "created_at": info.created_at,
        "updated_at": info.updated_at,
        "messages": messages,
        "next_cursor": None if position is None else encode_cursor(position),
    }


@router.delete("/{session_id}", status_code=204, summary="Delete a session")
async def delete_session(
    session_id: SessionId, state: CurrentState, principal: Annotated[Principal, requires(Scope.CHAT_INVOKE)]
) -> Response:
    """Delete a conversation with all its messages."""
    await state.conversations.delete(principal, session_id)
    return Response(status_code=204)
