"""Signing in and out in the browser, and who one is."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import RedirectResponse, Response

from core.errors import Forbidden
from core.principals import Principal
from server.auth import COOKIE, SIGN_IN_PATH, current_principal, local_path, refuse_foreign_origin
from server.pages import render
from server.state import CurrentState, State

router = APIRouter(tags=["Access"])


class Me(BaseModel):
    """The principal of a request."""

    id: str
    name: str
    tenant: str
    role: str
    scopes: list[str]
    key_id: str | None = Field(description="the key that was shown; null for a person who signed in")
    teams: list[str]


class SignInLink(BaseModel):
    """A link that opens one browser session, within a day."""

    url: str


@router.get("/api/v1/auth/me")
async def me(principal: Annotated[Principal, current_principal]) -> Me:
    """Whom the key belongs to, and what it may do."""
    return Me(
        id=principal.id,
        name=principal.name,
        tenant=principal.tenant,
        role=principal.role,
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
    if principal.key_id is None:
        raise Forbidden("Only a key can make a sign-in link.", code="key_needed")
    token = await state.access.sessions.make_link_token(principal.key_id)
    return SignInLink(url=f"{state.settings.base_url}{SIGN_IN_PATH}?token={token}")


@router.get(SIGN_IN_PATH, include_in_schema=False)
async def sign_in_page(
    request: Request, state: CurrentState, token: str | None = None, target: Annotated[str | None, Query(alias="next")] = None
) -> Response:
    """The sign-in form; with a link's token, the way in."""
    if token is None:
        return _form(request, target)
    key_id = await state.access.sessions.redeem(token)
    if key_id is None:
        return _form(request, target, "This link has been used or has expired. Sign in with a key.")
    return await _signed_in(state, key_id, target)


@router.post(SIGN_IN_PATH, include_in_schema=False)
async def sign_in(request: Request, state: CurrentState) -> Response:
    """Open a browser session with a key."""
    try:
        refuse_foreign_origin(request.method, request.headers)
    except Forbidden as error:
        return _form(request, None, error.message, status=403)
    form = await request.form(max_files=0, max_fields=4)
    key, target = str(form.get("key", "")).strip(), str(form.get("next", ""))
    principal = await state.access.by_key(key) if key else None
    if principal is None or principal.key_id is None:
        return _form(request, target, "This key is not valid.")
    return await _signed_in(state, principal.key_id, target)


@router.post("/signout", include_in_schema=False)
async def sign_out(request: Request, state: CurrentState, _principal: Annotated[Principal, current_principal]) -> Response:
    """End the browser session."""
    if cookie := request.cookies.get(COOKIE):
        await state.access.sessions.close(cookie)
        state.access.forget()
    response = RedirectResponse(SIGN_IN_PATH, 303)
    response.delete_cookie(COOKIE)
    return response


async def _signed_in(state: State, key_id: str, target: str | None) -> Response:
    cookie = await state.access.sessions.open(key_id=key_id)
    response = RedirectResponse(local_path(target), 303)
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=int(state.access.sessions.lifetime.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=state.settings.base_url.startswith("https://"),
    )
    return response


def _form(request: Request, target: str | None, problem: str | None = None, *, status: int | None = None) -> Response:
    code = status or (401 if problem else 200)
    return render(request, "signin.html", {"next": local_path(target), "problem": problem}, status=code)
