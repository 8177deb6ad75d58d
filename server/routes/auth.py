"""Who one is, one's own password, and what one has open."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.responses import Response

from core import denials
from core.principals import Principal
from server.access.own_sessions import end_own_session, own_sessions
from server.auth import COOKIE, SIGN_IN_PATH, credential, current_principal
from server.pagination import Paging, page_of
from server.shown_once import ShownOnce
from server.state import CurrentState, State

router = APIRouter(tags=["Access"])


class Me(BaseModel):
    """The principal of a request."""

    id: str
    name: str
    tenant: str
    role: str
    role_held: bool = Field(
        description="whether what is shared with the role is shared with you: not where its user has not, or has lost, it"
    )
    scopes: list[str]
    key_id: str | None = Field(description="the key that was shown; null for a person who signed in")
    teams: list[str]


class SignInLink(BaseModel):
    """A link that opens one browser session, within a day."""

    url: ShownOnce


@router.get("/api/v1/auth/me")
async def me(principal: Annotated[Principal, current_principal]) -> Me:
    """Whom the key belongs to, and what it may do."""
    return Me(
        id=principal.id,
        name=principal.name,
        tenant=principal.tenant,
        role=principal.role,
        role_held=principal.role_held,
        scopes=sorted(scope.value for scope in principal.scopes),
        key_id=principal.key_id,
        teams=sorted(principal.teams),
    )


@router.post("/api/v1/auth/sign-in-links", status_code=201)
async def make_sign_in_link(state: CurrentState, principal: Annotated[Principal, current_principal]) -> SignInLink:
    """Make a one-time link that signs a browser in with this key.

    Raises:
        Forbidden: `key_needed`: no key was shown; who is signed in by other means has no use for a link.
    """
    if principal.key_id is None or principal.from_token:
        raise denials.barred(principal, "Only a key can make a sign-in link.", code="key_needed")
    token = await state.access.sessions.make_link_token(principal.key_id)
    return SignInLink(url=f"{state.settings.base_url}{SIGN_IN_PATH}?token={token}")


class Session(BaseModel):
    """A browser that is signed in, or a program that holds tokens."""

    id: str
    kind: Literal["browser", "token"]
    created_at: datetime
    expires_at: datetime
    current: bool = Field(description="whether it is the one that asks")


class SessionList(BaseModel):
    """Some of your own sessions, newest first."""

    results: list[Session]
    next_cursor: str | None


class NewPassword(BaseModel):
    """A password in the place of one's own."""

    model_config = ConfigDict(extra="forbid")

    old_password: SecretStr = Field(max_length=1024)
    new_password: SecretStr = Field(max_length=1024, description="GENAI_SIGN_IN__PASSWORD_CHARACTERS or more; 12 as it comes")


@router.post("/api/v1/auth/password", status_code=204)
async def change_password(
    new: NewPassword, request: Request, state: CurrentState, principal: Annotated[Principal, current_principal]
) -> Response:
    """Change your own password. Your other browser sessions and all your tokens end.

    Raises:
        Forbidden: `sign_in_needed`: a token gives nobody a password, not even one's own.
    """
    if principal.from_token:
        raise denials.shown_a_token(principal, "gives nobody a password")
    address = request.client.host if request.client else None
    old, chosen = new.old_password.get_secret_value(), new.new_password.get_secret_value()
    await state.access.passwords.change(principal, old, chosen, address, keep=_own_session(request, state))
    state.access.forget()
    return Response(status_code=204)


@router.get("/api/v1/auth/sessions", response_model=SessionList)
async def list_own_sessions(
    request: Request, state: CurrentState, principal: Annotated[Principal, current_principal], paging: Paging
) -> dict[str, Any]:
    """List your browser sessions and the programs that hold tokens of yours; of a key, those that were made with it. A token
    that may do less than you sees itself alone."""
    family = await _own_family(request, state)
    found = await own_sessions(state.database, principal, _own_session(request, state), family=family)
    shown = [Session.model_validate(each, from_attributes=True) for each in found]
    return page_of(shown, paging, lambda session: session.id)


@router.delete("/api/v1/auth/sessions/{session_id}", status_code=204)
async def end_session(
    session_id: str, request: Request, state: CurrentState, principal: Annotated[Principal, current_principal]
) -> Response:
    """End one of your sessions, within a second everywhere."""
    await end_own_session(state.database, principal, session_id, family=await _own_family(request, state))
    state.access.forget()
    return Response(status_code=204)


def _own_session(request: Request, state: State) -> str | None:
    """What the session that asks is stored under."""
    cookie = request.cookies.get(COOKIE)
    return state.access.sessions.digest(cookie) if cookie else None


async def _own_family(request: Request, state: State) -> str | None:
    """The family of the token that asks; None where it is no token."""
    shown = credential(request.headers)
    return await state.access.tokens.family_of(shown) if shown else None
