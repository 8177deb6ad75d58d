"""Pages of other sites: which origins a browser lets call the API, told as the Fetch standard has it (CORS).

A tenant's administrators name the origins; there are no wildcards, and no credentials that a browser would add by itself, so
the cookie never works from another origin. A preflight names nobody: it is answered for every tenant's origins, before
anything is asked of the database. An answer can be read by the origins of its caller's own tenant alone.
"""

import json
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.context import RequestContext
from core.policies.store import Policies
from core.principals import ANONYMOUS

#: What can be called from another origin; pages, sign-in and what lies beside them cannot.
API_PREFIXES = ("/api/v1/", "/v1/")
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
#: Seconds that a browser keeps the answer to a preflight.
_MAX_AGE_S = 600
#: Headers that a caller may send, by name; a browser lists them in lower case.
_ASKED = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}(?: *, *[a-z0-9!#$%&'*+.^_`|~-]{1,64}){0,49}", re.IGNORECASE)
_EXPOSED = ("x-request-id", "retry-after", "location", "content-disposition", "www-authenticate", "idempotent-replayed")
_EXPOSED_PREFIXES = ("x-genai-", "ratelimit", "x-ratelimit")


class CrossOrigin:
    """ASGI middleware, outermost: whatever answers, a page that may read the answer can read the error in it as well."""

    def __init__(self, app: ASGIApp, policies: Policies) -> None:
        self._app = app
        self._policies = policies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS":
            headers = Headers(scope=scope)
            if "origin" in headers and "access-control-request-method" in headers:
                await self._answer_preflight(scope["path"], headers, send)
                return
        if not self._policies.origins or not scope["path"].startswith(API_PREFIXES):
            await self._app(scope, receive, send)
            return
        origin = Headers(scope=scope).get("origin")

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Origin")
                if origin is not None and self._may_read(origin, scope.get("state", {}).get("context")):
                    headers["access-control-allow-origin"] = origin
                    headers["access-control-expose-headers"] = ", ".join(_exposed(headers))
            await send(message)

        await self._app(scope, receive, answer)

    def _may_read(self, origin: str, context: RequestContext | None) -> bool:
        """Whether pages of this origin may read the answer. Who is not known has learned nothing of any tenant's."""
        if context is None or context.principal is ANONYMOUS:
            return origin in self._policies.origins
        return origin in self._policies.of(context.principal.tenant).browsers.origins

    async def _answer_preflight(self, path: str, headers: Headers, send: Send) -> None:
        origin, asked = headers["origin"], headers.get("access-control-request-headers", "")
        answer = {"vary": "Origin, Access-Control-Request-Headers", "cache-control": "no-store"}
        if origin not in self._policies.origins or not path.startswith(API_PREFIXES):
            error = {"code": "origin_not_allowed", "message": "Pages of this origin may not call this.", "request_id": None}
            await _send(send, 403, answer | {"content-type": "application/json"}, json.dumps({"error": error}).encode())
            return
        answer |= {
            "access-control-allow-origin": origin,
            "access-control-allow-methods": _METHODS,
            "access-control-max-age": str(_MAX_AGE_S),
        }
        if _ASKED.fullmatch(asked):
            answer["access-control-allow-headers"] = asked
        await _send(send, 204, answer, b"")


def _exposed(headers: MutableHeaders) -> list[str]:
    """Names of the headers that a page's script may read, beside those that it always may."""
    return [name for name in dict.fromkeys(headers.keys()) if name in _EXPOSED or name.startswith(_EXPOSED_PREFIXES)]


async def _send(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    if body:
        headers |= {"content-length": str(len(body))}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
