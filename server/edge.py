"""The outermost layer of every request: its identifier, context, headers, log line, and an answer to what nobody caught."""

import asyncio
import re
import secrets
import time
from collections.abc import Mapping, Sequence

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import ledger, metrics, traces
from core.context import RequestContext, serving
from core.policies.retention import HEADER as RETENTION
from core.policies.retention import wishes_nothing_kept
from core.principals import ANONYMOUS
from core.transport.plaintext import is_here
from server.cut_off import is_cut_off, take_over
from server.doors import door_of
from server.error_responses import as_platform_error, error_response
from server.rate_limit_headers import rate_limit_headers
from server.readiness import Readiness
from server.request_line import CLIENT_CLOSED_REQUEST, Passed, tell
from server.request_span import RequestSpan
from server.security_headers import ALWAYS, hsts
from server.tags import TAGS, tags_of

log = structlog.get_logger()

#: As programs make them: a UUID, a ULID, or hexadecimal digits, also behind a short prefix. What a person might write, or a
#: key, would lie in the ledger for as long as that does.
_REQUEST_ID = re.compile(
    r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|[0-7][0-9A-HJKMNP-TV-Z]{25}"
    r"|([a-z]{2,8}[_-])?([0-9a-f]{24,64}|[0-9A-F]{24,64})"
)
STATIC_PREFIX = "/static/"
#: Below it, everything is as OpenAI's clients expect it.
OPENAI_PREFIX = "/v1/"


class Edge:
    """ASGI middleware. A caller's `X-Request-ID` is kept when a program has made it by lot, else one is made here.

    `hsts_s`: seconds that browsers are told to keep to https, where they came by it; 0 tells them nothing. `readiness` tells
    when a cancelled request was cut off by the server's end.
    """

    def __init__(self, app: ASGIApp, hsts_s: int = 0, readiness: Readiness | None = None) -> None:
        self._app = app
        self._readiness = readiness
        self._over_tls = (*ALWAYS, hsts(hsts_s)) if hsts_s else ALWAYS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else f"req_{secrets.token_hex(12)}"
        context = RequestContext(
            request_id=request_id,
            principal=ANONYMOUS,
            address=(scope.get("client") or (None,))[0],
            openai=f"{scope['path']}/".startswith(OPENAI_PREFIX),
            cache_control=headers.get("cache-control", ""),
        )
        scope.setdefault("state", {}).update(context=context, readiness=self._readiness)
        # a browser would keep to https on every port of its own machine
        over_tls = scope.get("scheme") == "https" and not is_here(host_of(headers))
        constant = self._over_tls if over_tls else ALWAYS
        span = None if (recorded := traces.current()) is None else RequestSpan(recorded, context, scope)
        answer = _Answer(receive, send, context, constant, span, path=scope["path"])
        metrics.began()
        with serving(context), structlog.contextvars.bound_contextvars(**_named(request_id)):
            try:
                context.keep_nothing = wishes_nothing_kept(headers.get(RETENTION))
                context.tags = tags_of(headers.get(TAGS, ""))
                await self._app(scope, answer.receive, answer.send)
            except asyncio.CancelledError:
                if is_cut_off(scope) and not answer.started:
                    await error_response(take_over())(scope, receive, answer.send)
                    return
                answer.passed.status, answer.passed.left = CLIENT_CLOSED_REQUEST, True
                raise
            except Exception as error:  # noqa: BLE001 - the boundary: whatever it is, the caller gets the error shape
                shown = as_platform_error(error)
                if answer.started:
                    # the status is out: break the connection, so that the caller cannot take this for a whole answer
                    log.warning("answer.broken_off", code=shown.code)
                    context.refused(shown.code, shown.status)
                    raise BrokenOff from None
                await error_response(shown)(scope, receive, answer.send)
            finally:
                answer.entered(left=True)
                if span is not None:
                    span.ended(answer.passed.status, whole=False)
                tell(scope, context, answer.passed)
                if metrics.are_counted():
                    metrics.answered(_told(scope["path"], context, answer))


class BrokenOff(Exception):
    """An answer that had begun cannot be finished. The server closes its connection."""


class _Answer:
    """Passes a request in, and its answer on with the platform's headers on it."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        context: RequestContext,
        constant: Sequence[tuple[bytes, bytes]],
        span: RequestSpan | None,
        *,
        path: str,
    ) -> None:
        self._receive, self._send = receive, send
        self._span = span
        self._constant = constant
        self._static = path.startswith(STATIC_PREFIX)
        #: Its end is that of whoever asks for an answer, and not for a page or a list.
        self._tells = bool(door_of(path)[1])
        self._context = context
        #: The beginning of an answer that is no stream, which waits for its first bytes: until then it may become an error.
        self._begun: Message | None = None
        self.started = self._settled = self._ended = False
        self.passed = Passed()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.passed.bytes_in += len(message.get("body", b""))
        elif not self._ended:
            self.passed.left = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.passed.status = message["status"]
            headers = list(message.get("headers", ()))
            given = dict(headers)
            streams = given.get(b"content-type", b"").startswith(b"text/event-stream")
            self.passed.first_s = 0 if streams else self.passed.first_s
            told = {"x-request-id": self._context.request_id} | call_headers(self._context)
            if self._span is not None:
                told["x-genai-trace-id"] = self._span.trace_id
            ours = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told.items()]
            if not given.keys().isdisjoint(name for name, _ in ours):
                headers = [pair for pair in headers if pair[0].decode("latin-1") not in told]
            if b"cache-control" not in given:
                headers.append((b"cache-control", b"no-cache" if self._static else b"no-store"))
            headers += [pair for pair in self._constant if pair[0] not in given]
            message["headers"] = headers + ours
            self._begun = message
            if streams:
                await self._begin()
        else:
            body = message.get("body", b"")
            self.passed.bytes_out += len(body)
            if self.passed.first_s == 0 and body[:1] not in (b"", b":"):  # a comment is a sign of life alone
                self.passed.first_s = time.perf_counter() - self._context.started
            if not message.get("more_body"):
                await self._settle()
            await self._begin()  # the instrumentation says of its span what the status is, and then we do
            if not message.get("more_body"):
                self._ended = True
                if self._span is not None:
                    self._span.ended(self.passed.status)
            await self._send(message)

    async def _begin(self) -> None:
        if self._begun is not None:
            begun, self._begun = self._begun, None
            self.started = True
            await self._send(begun)

    async def _settle(self) -> None:
        """Have on record what the answer has used, before its last byte leaves. Once: what is told where that fails is an
        error, which has used nothing more."""
        if self._settled:
            return
        self._settled = True
        recorded = self.entered(left=False)
        if recorded or self._context.attempts or self._context.provider:
            await ledger.settled()

    def entered(self, *, left: bool) -> bool:
        """Put on record how the request has ended, where its version is compared with another; whether it was. Once."""
        if not self._tells or not self._context.versions.compared:
            return False
        ledger.enter_outcomes(self._context, left=left)
        return True


def _named(request_id: str) -> dict[str, str]:
    """What every line of the log says that is written for a request."""
    trace_id = traces.trace_id()
    return {"request_id": request_id} if trace_id is None else {"request_id": request_id, "trace_id": trace_id}


def host_of(headers: Headers) -> str:
    """The name or address that the caller asked for, without the port; empty where they did not say."""
    host = headers.get("host", "")
    return host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]


def call_headers(context: RequestContext) -> dict[str, str]:
    """The `x-genai-*` headers of what is known by now; none before a model was asked. A stream that begins knows the cache's
    part, and the alias that a budget had it given to."""
    found = {"x-genai-pii": pii_header(context.pii)} if context.pii else {}
    found |= rate_limit_headers(context.allowances)
    if context.degraded is not None:
        found["x-genai-degraded-to"] = context.degraded
    if context.attempts == 0 and context.provider is None:
        return found if context.cache is None else found | {"x-genai-cache": context.cache}
    headers = found | {
        "x-genai-model": context.model,
        "x-genai-provider": context.provider,
        "x-genai-version": context.version,
        "x-genai-attempts": str(context.attempts),
        "x-genai-cache": context.cache or "bypass",
        "x-genai-cost-usd": None if context.cost_usd is None else f"{context.cost_usd:f}",
        "x-genai-overhead-ms": f"{context.overhead_s * 1000:.1f}" if context.provider else None,
    }
    return {name: value for name, value in headers.items() if value is not None}


def pii_header(found: Mapping[str, Mapping[str, int]]) -> str:
    """Personal data that was found: `prompts.PERSON=2, answers.EMAIL_ADDRESS=1`."""
    return ", ".join(f"{place}.{kind}={count}" for place, counts in found.items() for kind, count in counts.items())


def _told(path: str, context: RequestContext, answer: _Answer) -> metrics.Answer:
    door, capability = door_of(path)
    code, status = context.error or (None, None)
    return metrics.Answer(
        door=door,
        capability=capability,
        status=answer.passed.status,
        seconds=time.perf_counter() - context.started,
        first_s=(answer.passed.first_s or None) if capability else None,
        overhead_s=context.overhead_s if context.attempts else None,
        error=code,
        error_status=status,
    )
