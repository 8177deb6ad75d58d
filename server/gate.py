"""The gate: every refusal that comes before the first byte of an answer."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from core import denials
from core.context import RequestContext
from core.principals import Principal, Scope

Endpoint = Callable[[Request], Awaitable[Response]]
_Declared = TypeVar("_Declared", bound=Callable[..., Any])


def admit(context: RequestContext, *scopes: Scope) -> Principal:
    """Let the request's principal in who has one of the scopes, or refuse. Without any, whoever is signed in comes in.

    Raises:
        Forbidden: the principal's key lacks them.
    """
    principal = context.principal
    if scopes and not any(map(principal.may, scopes)):
        raise denials.lacks(principal, *scopes)
    return principal


def guarded(endpoint: Endpoint, *scopes: Scope) -> Endpoint:
    """The endpoint of a Starlette route behind the gate. What it asks for can be read off it: see `server.declared`."""

    @wraps(endpoint)
    async def behind(request: Request) -> Response:
        context: RequestContext = request.state.context
        admit(context, *scopes)
        return await endpoint(request)

    return declares(behind, *scopes)


def declares(function: _Declared, *scopes: Scope) -> _Declared:
    """Mark an endpoint, or a dependency of one, as asking for one of the scopes; for none: for anybody who is signed in."""
    function.scopes = scopes  # type: ignore[attr-defined]  # functions take attributes
    return function
