"""Tokens for programs: OAuth 2's token and revocation endpoints, and the keys that whoever checks a token needs."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile
from starlette.responses import JSONResponse, Response

from core import denials
from core.errors import InvalidRequest
from core.principals import Principal, Scope, beyond
from server.access.signing import ALGORITHM
from server.access.tokens import Issued, TokenRefused
from server.auth import JWKS_PATH, METADATA_PATH, REVOKE_PATH, TOKEN_PATH, current_principal, requires
from server.pagination import PageRequest, Paging, page_of
from server.shown_once import ShownOnce
from server.state import CurrentState, State

router = APIRouter(tags=["Access"])

_FORM = "application/x-www-form-urlencoded"
_METHODS = ["client_secret_basic", "client_secret_post"]


def _form_of(required: list[str], fields: dict[str, str]) -> dict[str, Any]:
    """How a form is told of in the API's document."""
    properties = {name: {"type": "string", "description": text} for name, text in fields.items()}
    schema = {"type": "object", "required": required, "properties": properties}
    return {"requestBody": {"required": True, "content": {_FORM: {"schema": schema}}}}


class TokenAnswer(BaseModel):
    """Tokens at the one moment when they are shown."""

    access_token: ShownOnce
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of a scheme
    expires_in: int = Field(description="seconds that the access token is good for")
    scope: str = Field(description="what it may do, divided by spaces")
    refresh_token: ShownOnce | None = Field(
        None, description="good for one use, which gives another; null for client_credentials"
    )

    @classmethod
    def of(cls, issued: Issued) -> "TokenAnswer":
        return cls(
            access_token=issued.access_token,
            expires_in=issued.expires_in,
            scope=" ".join(sorted(issued.scopes)),
            refresh_token=issued.refresh_token,
        )


class WantedToken(BaseModel):
    """What the tokens are to be for."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"scopes": ["chat:invoke"]}]})

    scopes: list[Scope] | None = Field(None, min_length=1, description="these of your scopes alone; null: all of them")


class SigningKeyInfo(BaseModel):
    """A key that signs access tokens, will, or did."""

    kid: str
    state: str
    created_at: datetime
    activated_at: datetime | None
    expires_at: datetime | None = Field(description="when a retired key stops verifying")


class SigningKeyPage(BaseModel):
    """Some of the keys that sign access tokens, newest first."""

    results: list[SigningKeyInfo]
    next_cursor: str | None


class Rotation(BaseModel):
    """How the signing key is replaced."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"at_once": False}]})

    at_once: bool = Field(False, description="the old key has leaked: every access token that it signed ends within a second")


@router.post(
    TOKEN_PATH,
    openapi_extra=_form_of(
        ["grant_type"],
        {
            "grant_type": "client_credentials or refresh_token",
            "client_id": "client_credentials: the identifier of the key, or of the service account that it acts for",
            "client_secret": "client_credentials: the key; or both by HTTP Basic",
            "refresh_token": "refresh_token: the one that was given last",
            "scope": "scopes, divided by spaces; without it all that there are",
        },
    ),
)
async def token(request: Request, state: CurrentState) -> TokenAnswer:
    """Get an access token with a key (`client_credentials`) or a refresh token. Errors have OAuth's shape."""
    try:
        return TokenAnswer.of(await _granted(request, state))
    except TokenRefused as refusal:
        return _refused(refusal)  # type: ignore[return-value] # an answer as it is


@router.post(
    REVOKE_PATH,
    response_class=Response,
    openapi_extra=_form_of(
        ["token"], {"token": "a refresh or access token", "token_type_hint": "not needed: the two are told apart"}
    ),
)
async def revoke(request: Request, state: CurrentState) -> Response:
    """Revoke a refresh or access token, and with it all that came from the same sign-in (RFC 7009)."""
    try:
        shown = _field(await _form(request), "token")
    except TokenRefused as refusal:
        return _refused(refusal)
    await state.access.tokens.revoke(shown)
    state.access.forget()
    return Response(status_code=200)


@router.post("/api/v1/auth/tokens", status_code=201)
async def make_tokens(
    state: CurrentState, principal: Annotated[Principal, current_principal], wanted: WantedToken | None = None
) -> TokenAnswer:
    """Make an access and a refresh token for a program that is to act for you: signed in, or with a key.

    Raises:
        Forbidden: `sign_in_needed`: a token makes no further ones.
        InvalidRequest: `unknown_scope`: a scope that you do not have.
    """
    if principal.from_token:
        raise denials.shown_a_token(principal, "makes no further ones")
    scopes = None if wanted is None or wanted.scopes is None else frozenset(wanted.scopes)
    if more := beyond(scopes or frozenset(), principal.scopes):
        denials.note_beyond(principal, sorted(more))
        raise InvalidRequest("You do not have all of these scopes.", code="unknown_scope", param="scopes")
    return TokenAnswer.of(await state.access.tokens.issue(principal, scopes, refreshable=True))


@router.get("/api/v1/auth/signing-keys", response_model=SigningKeyPage)
async def list_signing_keys(
    state: CurrentState, principal: Annotated[Principal, requires(Scope.TENANTS_MANAGE)], paging: Paging
) -> dict[str, Any]:
    """List the keys that sign access tokens, newest first."""
    keys = [SigningKeyInfo.model_validate(row, from_attributes=True) for row in await state.access.tokens.keys.list()]
    return page_of(keys, paging, lambda key: key.kid)


@router.post("/api/v1/auth/signing-keys/rotate", response_model=SigningKeyPage)
async def rotate_signing_keys(
    state: CurrentState, principal: Annotated[Principal, requires(Scope.TENANTS_MANAGE)], how: Rotation | None = None
) -> dict[str, Any]:
    """Let the next key sign. The one before goes on verifying until its last token has expired."""
    await state.access.tokens.keys.rotate(at_once=(how or Rotation()).at_once)
    state.access.forget()
    return await list_signing_keys(state, principal, PageRequest())


@router.get(JWKS_PATH, include_in_schema=False)
async def published_keys(state: CurrentState) -> Response:
    """The public keys that verify access tokens (RFC 7517)."""
    return JSONResponse(await state.access.tokens.keys.published(), headers={"cache-control": "public, max-age=60"})


@router.get(METADATA_PATH, include_in_schema=False)
async def metadata(state: CurrentState) -> dict[str, Any]:
    """Where a program finds what (RFC 8414)."""
    base = state.access.tokens.issuer
    return {
        "issuer": base,
        "token_endpoint": base + TOKEN_PATH,
        "revocation_endpoint": base + REVOKE_PATH,
        "jwks_uri": base + JWKS_PATH,
        "scopes_supported": sorted(Scope),
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials", "refresh_token"],
        "token_endpoint_auth_methods_supported": _METHODS,
        "revocation_endpoint_auth_methods_supported": ["none"],
        "access_token_signing_alg_values_supported": [ALGORITHM],
    }


async def _granted(request: Request, state: State) -> Issued:
    form = await _form(request)
    scopes = _scopes(form.get("scope"))
    match _field(form, "grant_type"):
        case "client_credentials":
            principal = await _client(request, state, form)
            if more := beyond(scopes or frozenset(), principal.scopes):
                denials.note_beyond(principal, sorted(more))
                raise TokenRefused("invalid_scope", "The key does not have all of this scope.")
            return await state.access.tokens.issue(principal, scopes, refreshable=False)
        case "refresh_token":
            try:
                return await state.access.tokens.refresh(_field(form, "refresh_token"), scopes, address=_address(request))
            except TokenRefused:
                state.access.forget()  # a family may have ended by it
                raise
        case _:
            raise TokenRefused("unsupported_grant_type", "Only client_credentials and refresh_token are known here.")


def _field(form: dict[str, str], name: str) -> str:
    if not form.get(name):
        raise TokenRefused("invalid_request", f"{name} is missing.")
    return form[name]


async def _form(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise TokenRefused("invalid_request", f"Send a form, as {_FORM}.")
    fields = (await request.form(max_files=0, max_fields=20)).multi_items()
    if len({name for name, _ in fields}) < len(fields):
        raise TokenRefused("invalid_request", "A field is given twice.")
    return {name: value for name, value in fields if not isinstance(value, UploadFile)}


def _scopes(given: str | None) -> frozenset[Scope] | None:
    if not given or not given.strip():
        return None
    names = set(given.split())
    if not names <= set(Scope):
        raise TokenRefused("invalid_scope", "There is no such scope.")
    return frozenset(Scope(name) for name in names)


async def _client(request: Request, state: State, form: dict[str, str]) -> Principal:
    """Whom the client's key stands for."""
    shown = _basic(request) or (form.get("client_id", ""), form.get("client_secret", ""))
    principal = await state.access.by_key(shown[1]) if all(shown) else None
    known = principal is not None and shown[0] in (principal.key_id, principal.id)
    if principal is None or not known or denials.comes_from_elsewhere(principal, _address(request)):
        raise TokenRefused("invalid_client", "Client or key are not valid here.")
    return principal


def _address(request: Request) -> str | None:
    return request.client.host if request.client else None


def _basic(request: Request) -> tuple[str, str] | None:
    kind, _, encoded = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return ("", "")
    return unquote(name), unquote(secret)


def _refused(refusal: TokenRefused) -> JSONResponse:
    """OAuth's shape of an error (RFC 6749, 5.2)."""
    body = {"error": refusal.error, "error_description": refusal.description}
    if refusal.error == "invalid_client":
        return JSONResponse(body, 401, {"www-authenticate": 'Basic realm="genai"'})
    return JSONResponse(body, 400)
