"""Request bodies: how large, how deep and how odd they may be, decided before anything else looks at them."""

import asyncio
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import InvalidRequest, PlatformError, TooLarge, UnsupportedMediaType
from core.json_bodies import check_json, most_values
from core.settings import RequestLimits
from server.error_responses import error_response

#: A body from this size on is checked in a thread: 4 MiB take 0.1 s.
_LARGE_BYTES = 256 * 2**10
_FORM_PATHS = (
    "/signin",
    "/signout",
    "/account/password",
    "/account/sessions",
    "/documents",
    "/models",
    "/evals",
    "/experiments",
    "/api/v1/auth/token",
    "/api/v1/auth/revoke",
)
#: Below them, every page takes the forms that stand on it.
_FORM_PREFIXES = ("/admin/", "/documents/", "/models/", "/prompts/", "/evals/", "/experiments/")
_FORM_BYTES = 16 * 2**10
#: Where forms hold whole files, as text: datasets, suites, models, prompts.
_TEXT_FORMS = re.compile(r"/(evals$|models(/|$)|prompts/)")
_INLINE_FILES = re.compile(r"/api/v1/(multimodal(/|$)|rag/collections/[^/]+/documents$)|/v1/chat/completions$")
#: Where files are taken as a form. The multimodal capability holds them in memory, as it does those in JSON.
_FORMS = re.compile(r"/api/v1/(multimodal|rag/collections/[^/]+/documents)$|/v1/files$")
_HELD_FORMS = ("/api/v1/multimodal",)


class BodyGuard:
    """ASGI middleware. JSON is read whole, checked and handed on; multipart is counted as it streams by."""

    def __init__(self, app: ASGIApp, limits: RequestLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        has_body = headers.get("transfer-encoding") is not None or headers.get("content-length", "0") != "0"
        try:
            check_address(scope)
            if not has_body:
                await self._app(scope, receive, send)
                return
            kind = body_kind(headers, scope["path"])
            limit = self._limit(kind, scope["path"])
            if _declared_length(headers) > limit:
                raise _too_large(limit)
            if kind == "multipart":
                await _count_while_passing(self._app, scope, receive, send, limit)
                return
            body = await _read_all(receive, limit)
            if body is None:
                return
            if kind == "form" and (b"\0" in body or b"%00" in body):
                raise InvalidRequest("The form holds a character that is not allowed.", code="invalid_form")
            if kind == "json" and body:
                values = most_values(scope["path"])
                if len(body) < _LARGE_BYTES:
                    check_json(body, self._limits.json_depth, values)
                else:
                    await asyncio.to_thread(check_json, body, self._limits.json_depth, values)
        except PlatformError as error:
            await error_response(error)(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    def _limit(self, kind: str, path: str) -> int:
        if kind == "form":
            return self._limits.body_bytes if _TEXT_FORMS.match(path) else _FORM_BYTES
        if kind == "multipart":
            return self._limits.inline_bytes if path in _HELD_FORMS else self._limits.upload_bytes
        return self._limits.inline_bytes if _INLINE_FILES.match(path) else self._limits.body_bytes


def check_address(scope: Scope) -> None:
    """Refuse a path or query with what no database takes: NUL, or bytes that are no UTF-8.

    Raises:
        InvalidRequest: `invalid_address`.
    """
    if "\0" in scope["path"] or "\ufffd" in scope["path"] or b"%00" in scope.get("query_string", b""):
        raise InvalidRequest("The address holds characters that are not allowed.", code="invalid_address")
    try:
        scope["path"].encode()
    except UnicodeEncodeError:
        raise InvalidRequest("The address is not UTF-8.", code="invalid_address") from None


def body_kind(headers: Headers, path: str) -> str:
    """`json`, `multipart` or `form`. A body without a content type counts as JSON.

    Raises:
        UnsupportedMediaType: it is something else.
    """
    media_type = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type == "application/json" or media_type.endswith("+json"):
        return "json"
    if media_type == "multipart/form-data" and _FORMS.match(path):
        return "multipart"
    if media_type == "application/x-www-form-urlencoded" and (path in _FORM_PATHS or path.startswith(_FORM_PREFIXES)):
        return "form"
    if _FORMS.match(path):
        raise UnsupportedMediaType("Send JSON with `Content-Type: application/json`; files as multipart/form-data.")
    raise UnsupportedMediaType("Send JSON with `Content-Type: application/json`.")


async def _read_all(receive: Receive, limit: int) -> bytes | None:
    """The whole body; None when the caller hung up before its end."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives the body once, then whatever the connection says: a disconnect."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return pending.pop() if pending else await receive()

    return next_message


async def _count_while_passing(app: ASGIApp, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
    """Run `app` on a body that is cut off at `limit`; the answer is then 413, whatever `app` made of the cut."""
    size, started, refused = 0, False, False

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise _too_large(limit)
        return message

    async def watched(message: Message) -> None:
        nonlocal started, refused
        if size > limit and not started:
            if not refused:
                refused = True
                await error_response(_too_large(limit))(scope, receive, send)
            return
        started = True
        await send(message)

    try:
        await app(scope, counted, watched)
    except TooLarge:
        if started:
            raise
        if not refused:
            await error_response(_too_large(limit))(scope, receive, send)


def _declared_length(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes, the most that this address takes.", code="body_too_large")
