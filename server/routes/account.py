"""The account page: who is signed in, their password, and what acts for them."""

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from core.errors import InvalidRequest, NotFound, PlatformError
from core.principals import Principal
from server.access.own_sessions import end_own_session, own_sessions
from server.auth import COOKIE, current_principal
from server.pages import render
from server.state import CurrentState, State

router = APIRouter(include_in_schema=False)

_PATH = "/account"
_CHANGED = "Your password is changed. Every other session of yours has ended."


@router.get(_PATH)
async def account(request: Request, state: CurrentState, principal: Annotated[Principal, current_principal]) -> Response:
    """The page."""
    return await _page(request, state, principal)


@router.post(f"{_PATH}/password")
async def change_password(
    request: Request, state: CurrentState, principal: Annotated[Principal, current_principal]
) -> Response:
    """Change one's own password by the form."""
    form = await request.form(max_files=0, max_fields=8)
    old, new, again = (str(form.get(name, "")) for name in ("old", "new", "again"))
    try:
        if new != again:
            raise InvalidRequest("The new password was not typed the same way twice.")
        address = request.client.host if request.client else None
        await state.access.passwords.change(principal, old, new, address, keep=_current(request, state))
    except PlatformError as error:
        return await _page(request, state, principal, problem=error)
    state.access.forget()
    return await _page(request, state, principal, note=_CHANGED)


@router.post(f"{_PATH}/sessions")
async def end_session(request: Request, state: CurrentState, principal: Annotated[Principal, current_principal]) -> Response:
    """End one of one's own sessions by its button."""
    form = await request.form(max_files=0, max_fields=4)
    try:
        await end_own_session(state.database, principal, str(form.get("id", "")))
    except NotFound as error:
        return await _page(request, state, principal, problem=error)
    state.access.forget()
    return RedirectResponse(_PATH, 303)


async def _page(
    request: Request, state: State, principal: Principal, *, problem: PlatformError | None = None, note: str | None = None
) -> Response:
    values = {
        "principal": principal,
        "has_password": await state.access.passwords.known(principal),
        "fewest": state.settings.sign_in.password_characters,
        "sessions": await own_sessions(state.database, principal, _current(request, state)),
        "problem": problem.message if problem else None,
        "note": note,
    }
    return render(request, "account.html", values, status=problem.status if problem else 200)


def _current(request: Request, state: State) -> str | None:
    cookie = request.cookies.get(COOKIE)
    return state.access.sessions.digest(cookie) if cookie else None
