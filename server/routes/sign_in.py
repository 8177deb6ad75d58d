"""Signing in and out in the browser: with a password, a key, a link, or at an identity provider."""

import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from core import audit, denials
from core.errors import NotFound, PlatformError, Unauthenticated
from core.principals import Principal
from server.access.federation import admit_person
from server.access.oidc import Flow, IdentityProvider
from server.access.throttle import Owner, note_attempt
from server.auth import COOKIE, SIGN_IN_PATH, current_principal, local_path, refuse_foreign_origin, request_context
from server.pages import render
from server.state import CurrentState, State

router = APIRouter(include_in_schema=False)

#: Holds a sign-in at an identity provider while it goes on. It comes back by a link from there, so it is no strict cookie.
FLOW_COOKIE = "genai_sign_in"
_FLOW_S = 600
_NO_KEY = "This key is not valid."


@router.get(SIGN_IN_PATH)
async def sign_in_page(
    request: Request, state: CurrentState, token: str | None = None, target: Annotated[str | None, Query(alias="next")] = None
) -> Response:
    """The sign-in form; with a link's token, the way in. Whoever is signed in as somebody else is asked first: anybody can send
    a link, and what is done after it is done in another's name."""
    if token is None:
        return _form(request, state, target)
    here = request_context(request).principal
    there = await state.access.sessions.whose(token) if here.from_cookie else None
    if there is not None and there.id != here.id:
        values = {"here": here.name, "there": there.name, "token": token, "next": local_path(target)}
        return render(request, "signin_switch.html", values)
    try:
        cookie = await _with_link(state, token)
    except PlatformError as error:
        return _form(request, state, target, error)
    return _signed_in(request, state, cookie, target)


@router.post(SIGN_IN_PATH)
async def sign_in(request: Request, state: CurrentState) -> Response:
    """Open a browser session with a key, an e-mail address and a password, or a link that was asked about."""
    target = None
    try:
        refuse_foreign_origin(request.method, request.headers)
        form = await request.form(max_files=0, max_fields=8)
        given = {name: str(form.get(name, "")) for name in ("next", "key", "email", "password", "tenant", "token")}
        target = given["next"]
        if given["token"]:
            cookie = await _with_link(state, given["token"])
        elif state.settings.sign_in.passwords and given["email"].strip() and not given["key"]:
            cookie = await _with_password(request, state, given)
        else:
            cookie = await _with_key(request, state, given["key"].strip())
    except PlatformError as error:
        return _form(request, state, target, error)
    return _signed_in(request, state, cookie, target)


@router.get(SIGN_IN_PATH + "/oidc/{name}")
async def begin_oidc(
    name: str, request: Request, state: CurrentState, target: Annotated[str | None, Query(alias="next")] = None
) -> Response:
    """Send the browser to an identity provider."""
    try:
        provider, flow = _provider(state, name), Flow.begin(local_path(target), _FLOW_S)
        there = await provider.address(flow, _redirect_uri(state, name))
    except PlatformError as error:
        return _form(request, state, target, error)
    response = RedirectResponse(there, 303)
    sealed = state.access.sign_ins.seal(flow.text(), name)
    _set_cookie(response, FLOW_COOKIE, sealed, _FLOW_S, path=SIGN_IN_PATH, secure=_secure(request, state))
    return response


@router.get(SIGN_IN_PATH + "/oidc/{name}/callback")
async def finish_oidc(name: str, request: Request, state: CurrentState) -> Response:
    """Take a person back from the identity provider. The sign-in must have begun in the same browser."""
    target = None
    try:
        provider = _provider(state, name)
        flow, code = _begun(request, state, name)
        target = flow.target
        claims = await provider.claims(code, flow, _redirect_uri(state, name), request.query_params.get("iss"))
        user_id = await admit_person(state.database, provider.settings, claims)
        response = _signed_in(request, state, await state.access.sessions.open(user_id=user_id, method="oidc"), target)
    except PlatformError as error:
        _note_failure("oidc", error.context)
        response = _form(request, state, target, error)
    state.access.forget()  # a role may have changed by it
    response.delete_cookie(FLOW_COOKIE, path=SIGN_IN_PATH)
    return response


@router.post("/signout")
async def sign_out(request: Request, state: CurrentState, _principal: Annotated[Principal, current_principal]) -> Response:
    """End the browser session."""
    if cookie := request.cookies.get(COOKIE):
        await state.access.sessions.close(cookie)
        state.access.forget()
    response = RedirectResponse(SIGN_IN_PATH, 303)
    response.delete_cookie(COOKIE)
    return response


async def _with_password(request: Request, state: State, given: dict[str, str]) -> str:
    verified = await state.access.passwords.sign_in(
        given["email"], given["password"], _address(request), tenant=given["tenant"] or None
    )
    return await state.access.sessions.open(user_id=verified.user_id, method="password", digest=verified.digest)


async def _with_link(state: State, token: str) -> str:
    key_id = await state.access.sessions.redeem(token)
    if key_id is None:
        raise Unauthenticated("This link has been used or has expired. Sign in another way.")
    return await state.access.sessions.open(key_id=key_id, method="link")


async def _with_key(request: Request, state: State, key: str) -> str:
    principal = await state.access.by_key(key) if key else None
    if principal is None or principal.key_id is None or denials.comes_from_elsewhere(principal, _address(request)):
        _note_failure("key")
        raise Unauthenticated(_NO_KEY)
    return await state.access.sessions.open(key_id=principal.key_id)


def _note_failure(method: str, whose: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Put a refused sign-in on record: of the `user` in whose name it came, in their tenant, where that is known."""
    users = [Owner(whose["user"], whose["tenant"])] if "user" in whose else []
    note_attempt(audit.Action.SIGNIN_FAILED, audit.Outcome.FAILURE, users, {"method": method})


def _begun(request: Request, state: State, name: str) -> tuple[Flow, str]:
    """The sign-in that this browser began, and the code that it came back with."""
    flow, given = Flow.read(state.access.sign_ins.open(request.cookies.get(FLOW_COOKIE, ""), name)), request.query_params
    if flow is None or not secrets.compare_digest(flow.state.encode(), given.get("state", "").encode()):
        raise Unauthenticated("This sign-in did not begin here, or took too long. Start again.", code="sign_in_failed")
    if "code" not in given:
        raise Unauthenticated("The identity provider did not let you in.", code="sign_in_failed")
    return flow, given["code"]


def _provider(state: State, name: str) -> IdentityProvider:
    provider = state.access.providers.get(name)
    if provider is None:
        raise NotFound("There is no such identity provider.")
    return provider


def _redirect_uri(state: State, name: str) -> str:
    return f"{state.settings.base_url}{SIGN_IN_PATH}/oidc/{name}/callback"


def _address(request: Request) -> str | None:
    return request.client.host if request.client else None


def _signed_in(request: Request, state: State, cookie: str, target: str | None) -> Response:
    response = RedirectResponse(local_path(target), 303)
    lifetime_s = int(state.access.sessions.lifetime.total_seconds())
    _set_cookie(response, COOKIE, cookie, lifetime_s, path="/", secure=_secure(request, state))
    return response


def _set_cookie(response: Response, name: str, value: str, max_age: int, *, path: str, secure: bool) -> None:
    response.set_cookie(name, value, max_age=max_age, path=path, httponly=True, samesite="lax", secure=secure)


def _secure(request: Request, state: State) -> bool:
    """Whether browsers come here by https, and so may be told to send cookies by nothing else."""
    return request.url.scheme == "https" or state.settings.base_url.startswith("https://")


def _form(request: Request, state: State, target: str | None, problem: PlatformError | None = None) -> Response:
    """The page, with what went wrong."""
    back = local_path(target)
    values = {
        "next": back,
        "problem": problem.message if problem else None,
        "passwords": state.settings.sign_in.passwords,
        "tenant": request.query_params.get("tenant", "")[:64],
        "providers": [
            {"label": each.label or each.name, "href": f"{SIGN_IN_PATH}/oidc/{each.name}?next={quote(back)}"}
            for each in state.settings.sign_in.oidc
        ],
    }
    response = render(request, "signin.html", values, status=problem.status if problem else 200)
    if problem is not None and problem.retry_after_s is not None:
        response.headers["retry-after"] = str(max(1, round(problem.retry_after_s + 0.5)))
    return response
