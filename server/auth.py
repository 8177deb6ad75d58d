"""Authentication: no request but those to a few public addresses goes on without a principal."""

from collections.abc import Mapping
from functools import partial
from typing import Any, cast
from urllib.parse import quote, urlsplit

import structlog
from fastapi import Depends, Request
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ASGIScope

from core import audit, denials
from core.context import RequestContext
from core.errors import Forbidden, Unauthenticated
from core.policies.retention import keeps_nothing
from core.policies.store import Policies
from core.principals import TENANT_WIDE, Principal, Scope
from server.access.access import Access
from server.access.limits import refuse_more
from server.access.tokens import is_access_token
from server.error_responses import as_platform_error, error_response
from server.gate import admit, declares

log = structlog.get_logger(stream="security")

COOKIE = "genai_session"
SIGN_IN_PATH = "/signin"
HEALTH_PATHS = ("/api/v1/health", "/api/v1/health/live", "/api/v1/health/ready")
#: Where programs get tokens and learn how to check them: each asks for a credential in its body, or for none.
TOKEN_PATH, REVOKE_PATH, JWKS_PATH = "/api/v1/auth/token", "/api/v1/auth/revoke", "/.well-known/jwks.json"
METADATA_PATH = "/.well-known/oauth-authorization-server"
#: Its callers show a token of its own, and have to be answered while the database is away.
METRICS_PATH = "/metrics"
_TOKEN_PATHS = (TOKEN_PATH, REVOKE_PATH, JWKS_PATH, METADATA_PATH)
_PUBLIC_PATHS = frozenset({SIGN_IN_PATH, "/favicon.ico", "/robots.txt", METRICS_PATH, *_TOKEN_PATHS, *HEALTH_PATHS})
_PUBLIC_PREFIXES = ("/static/", f"{SIGN_IN_PATH}/")
#: Pages whose forms are sent to the page's own address.
_FORMS_BELOW = ("/admin/", "/documents/", "/models/", "/evals/", "/experiments/")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Authentication:
    """ASGI middleware: puts the principal into the request's context, or refuses.

    A credential in a header wins over the cookie. A browser that asks for a page is sent to the sign-in form. What changes
    something by the cookie's authority must come from our own pages.
    """

    def __init__(self, app: ASGIApp, access: Access, policies: Policies) -> None:
        self._app = app
        self._access = access
        self._policies = policies

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == METRICS_PATH:
            await self._app(scope, receive, send)
            return
        context: RequestContext = scope["state"]["context"]
        public = is_public(scope["path"])
        scope["state"]["ask_again"] = partial(self._still, scope)
        try:
            headers = headers_of(scope)
            context.principal = await self._principal(scope, headers)
            refuse_place(context.principal, scope, headers)
            if context.principal.origin is not None:
                refuse_other_origin(context.principal, headers, self._policies)
            if context.tags and keeps_nothing(self._policies, context):
                context.tags = {}  # a caller's words, which the ledger would keep
        except Exception as error:  # noqa: BLE001 - answered here in the error shape, whatever it is
            refusal = as_platform_error(error)  # logs what nobody expected, of a public path too
            if not public:
                if isinstance(refusal, Unauthenticated) and wants_page(scope):
                    await _to_sign_in(scope)(scope, receive, send)
                else:
                    if isinstance(refusal, Unauthenticated):
                        log.warning("credential.refused", code=refusal.code, address=context.address)
                    await error_response(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _still(self, scope: ASGIScope) -> Principal:
        """Whom the request's credential stands for now, and may from where it came."""
        headers = headers_of(scope)
        principal = await self._principal(scope, headers)
        if principal.origin is not None:
            refuse_other_origin(principal, headers, self._policies)
        return principal

    async def _principal(self, scope: ASGIScope, headers: Mapping[str, str]) -> Principal:
        shown = credential(headers)
        if shown is not None:
            if is_access_token(shown):
                principal, what, code = await self._access.by_token(shown), "access token", "invalid_token"
            else:
                principal, what, code = await self._access.by_key(shown), "key", "invalid_key"
            if principal is None:
                raise Unauthenticated(f"The {what} is not valid, has expired or was revoked.", code=code)
            return principal
        if "cookie" in headers and (cookie := HTTPConnection(scope).cookies.get(COOKIE)):
            principal = await self._access.by_cookie(cookie)
            if principal is not None:
                return principal
        raise Unauthenticated("Give a key: `Authorization: Bearer KEY` or `X-API-Key: KEY`.")


async def principal_still(request: Request, principal: Principal) -> Principal:
    """Whom the credential of a request that goes on for long stands for now. Costs next to nothing: see `Access`.

    Raises:
        Unauthenticated: it has ended meanwhile.
        Forbidden: `origin_not_allowed`: the tenant lets the pages in no more that it is for.
    """
    ask_again = getattr(request.state, "ask_again", None)
    return principal if ask_again is None else cast("Principal", await ask_again())


def headers_of(scope: ASGIScope) -> dict[str, str]:
    """A request's headers by their names in small letters, of several of one name the first: what Starlette's `Headers` finds,
    without a search through all of them for each that is looked for."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}


def credential(headers: Mapping[str, str]) -> str | None:
    """The key or access token that the headers carry; None without one.

    Raises:
        Unauthenticated: there is an `Authorization` header, but not of the kind `Bearer KEY`.
    """
    authorization = headers.get("authorization")
    if authorization is not None:
        kind, _, key = authorization.partition(" ")
        if kind.lower() != "bearer" or not key.strip():
            raise Unauthenticated("The Authorization header must read `Bearer KEY`.", code="invalid_key")
        return key.strip()
    return headers.get("x-api-key")


def refuse_place(principal: Principal, scope: ASGIScope, headers: Mapping[str, str]) -> None:
    """Refuse a good credential that comes from where it may not.

    Raises:
        Forbidden: `network_not_allowed`; `foreign_origin`.
    """
    if denials.comes_from_elsewhere(principal, (scope.get("client") or (None,))[0]):
        raise Forbidden("This key may not be used from this address.", code="network_not_allowed")
    if principal.from_cookie:
        refuse_foreign_origin(scope["method"], headers)


def refuse_other_origin(principal: Principal, headers: Mapping[str, str], policies: Policies) -> None:
    """Refuse a browser token that comes from anywhere but the pages it was made for, or once its tenant lets these in no more.

    A browser says truthfully which origin a page is of, and a page cannot change that: a stolen token is of no use in another.

    Raises:
        Forbidden: `origin_not_allowed`.
    """
    origin = headers.get("origin")
    if origin == principal.origin and origin in policies.of(principal.tenant).browsers.origins:
        return
    audit.note(audit.Action.ORIGIN_DENIED, details={"origin": origin, "made_for": principal.origin}, principal=principal)
    raise Forbidden("This token may not be used from here: it is for the pages of one origin.", code="origin_not_allowed")


def refuse_foreign_origin(method: str, headers: Mapping[str, str]) -> None:
    """Stop another site's page from acting with the cookie of ours.

    Browsers send `Sec-Fetch-Site`, older ones `Origin`. A request with neither comes from no browser, and no other site can
    make it send the cookie (the rule of Go's net/http CrossOriginProtection, 2025). Following a link reads nothing for the
    other site; a script of its that would read sends `Origin`, and is stopped as well.

    Raises:
        Forbidden: `foreign_origin`.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if method in _SAFE_METHODS and origin is None:
        return
    if site is not None:
        own = site in ("same-origin", "none")
    else:
        own = origin is None or urlsplit(origin).netloc == headers.get("host")
    if not own:
        audit.note(audit.Action.ORIGIN_DENIED, details={"origin": origin, "site": site})
        raise Forbidden("The request comes from another site's page.", code="foreign_origin")


def is_public(path: str) -> bool:
    """Whether the address answers callers without a credential."""
    return path in _PUBLIC_PATHS or path.startswith(_PUBLIC_PREFIXES)


def wants_page(scope: ASGIScope) -> bool:
    """Whether a person's browser is asking for a page to look at, or sends a form of a page that can be looked at again."""
    shown = scope["method"] == "GET" or f"{scope['path']}/".startswith(_FORMS_BELOW)
    return shown and "text/html" in headers_of(scope).get("accept", "")


def local_path(target: str | None) -> str:
    """`target` if it is a path of ours, else `/`: a sign-in link must not lead to another site."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")) or any(ord(c) < 32 for c in target):
        return "/"
    return target


def _to_sign_in(scope: ASGIScope) -> RedirectResponse:
    path, query = scope["path"], scope.get("query_string", b"").decode("latin-1")
    target = quote(f"{path}?{query}" if query else path)
    return RedirectResponse(SIGN_IN_PATH if target == "/" else f"{SIGN_IN_PATH}?next={target}", 303)


def request_context(request: Request) -> RequestContext:
    """The context that `server.edge` opened for the request."""
    context: RequestContext = request.state.context
    return context


def requires(*scopes: Scope) -> Any:
    """A dependency that lets in principals who have one of the scopes and gives them: `Annotated[Principal, requires(…)]`.

    A key for some models or collections may look at what the whole tenant goes by, and changes none of it (`more_than_own`).
    """
    tenant_wide = bool(scopes) and TENANT_WIDE.issuperset(scopes)

    async def check(request: Request) -> Principal:
        principal = admit(request_context(request), *scopes)
        if tenant_wide and request.method not in _SAFE_METHODS:
            refuse_more(principal, [limit for limit in principal.limits if limit != "networks"])
        return principal

    return Depends(declares(check, *scopes))


async def _anybody(request: Request) -> Principal:
    return request_context(request).principal


#: A dependency that gives the principal, whatever their scopes; `ANONYMOUS` on public addresses.
current_principal: Any = Depends(declares(_anybody))
