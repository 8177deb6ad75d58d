"""`/ask`: questions to a collection, for people, in conversations that are kept."""

import secrets
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from chains.conversations import KeptMessage, SessionInfo
from chains.kept_citations import KeptCitation, Reopening
from core.errors import NotFound
from core.policies.retention import keeps_nothing
from core.principals import Principal, Scope
from server.auth import request_context, requires
from server.pages.frame import PageRoute, framed
from server.pages.judging import judges
from server.state import CurrentState, State

PATH = "/ask"
router = APIRouter(prefix=PATH, include_in_schema=False, route_class=PageRoute)

Asker = Annotated[Principal, requires(Scope.RAG_READ)]

#: Collections that the page offers; any other is asked from its own page.
_OFFERED = 200
#: Conversations that stand beside the page, and how many kept messages of one are shown: the newest.
_EARLIER = 12
_SHOWN = 200
_TITLE = 80
_PREFIX = "ask-"


@router.get("")
async def show(
    request: Request,
    state: CurrentState,
    principal: Asker,
    collection: Annotated[str, Query(max_length=64)] = "",
    session: Annotated[str, Query(max_length=128)] = "",
) -> Response:
    """The page, with the conversation `session` where there is one of the caller's."""
    rows, _ = await state.library.collections.page(principal, limit=_OFFERED)
    names = [row.name for row in rows]
    if collection and collection not in names:
        try:
            names.insert(0, (await state.library.collections.get(principal, collection)).name)
        except NotFound:
            if not session:  # of a conversation the collection may be gone
                raise
            collection = ""
    keeps = principal.may(Scope.CHAT_INVOKE) and not keeps_nothing(state.models.policies, request_context(request))
    messages = await _messages(state, principal, session) if keeps and session else []
    values = {
        "names": names,
        "chosen": collection or ("handbook" if "handbook" in names else ""),
        "keeps": keeps,
        "judges": judges(request_context(request), state.models.policies),
        "session": session if messages else f"{_PREFIX}{secrets.token_hex(8)}",
        "turns": await _turns(state, principal, messages),
        "earlier": await _earlier(state, principal) if keeps else [],
    }
    return framed(request, principal, "ask", values)


async def _messages(state: State, principal: Principal, session_id: str) -> list[KeptMessage]:
    try:
        return await state.conversations.recall(principal, session_id, newest=_SHOWN)
    except NotFound:
        return []


async def _turns(state: State, principal: Principal, messages: list[KeptMessage]) -> list[dict[str, Any]]:
    """What was said and answered, oldest first, answers with the places that they are from."""
    reopening = Reopening(state.library, principal)
    return [
        {"role": one.message.role, "text": text, "sources": [_source(cited) for cited in await reopening.opened(one.cited)]}
        for one in messages
        if one.message.role in ("user", "assistant") and (text := _text(one.message))
    ]


def _source(cited: KeptCitation) -> dict[str, Any]:
    """A citation with the address of its place."""
    place = urlencode({"start": cited.start, "end": cited.end})
    address = f"/documents/{quote(cited.collection, safe='')}/{quote(cited.document_id, safe='')}?{place}"
    return {**cited.model_dump(), "address": address}


def _text(message: Any) -> str:
    return message.content if isinstance(message.content, str) else str(message.text())


async def _earlier(state: State, principal: Principal) -> list[dict[str, Any]]:
    """Conversations that were held with collections, the newest first, each by its first question."""
    sessions, _ = await state.conversations.page(principal, limit=_EARLIER * 4)
    found: list[SessionInfo] = [one for one in sessions if one.session_id.startswith(_PREFIX)][:_EARLIER]
    shown = []
    for one in found:
        _, first, _ = await state.conversations.read(principal, one.session_id, limit=1)
        title = _text(first[0].message) if first else one.session_id
        asked = {"session": one.session_id} | ({"collection": one.collections[-1]} if one.collections else {})
        shown.append({"session_id": one.session_id, "title": title[:_TITLE], "address": f"{PATH}?{urlencode(asked)}"})
    return shown
