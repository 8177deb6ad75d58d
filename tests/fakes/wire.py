"""A loopback provider in a thread of its own, so that synchronous SDKs can be tested too. Each cloud's fake renders its format.

What it answers is scripted request by request: a `Reply`, or a `Fault`; without a script it replies.
"""

import asyncio
import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from aiohttp import web


class Fault(StrEnum):
    RATE = "rate"  # 429, with Retry-After
    RATE_BARE = "rate-bare"  # 429, without it
    SERVER = "server"  # 500
    UNAVAILABLE = "unavailable"  # 503
    CREDENTIAL = "credential"  # a key that is not known
    FORBIDDEN = "forbidden"  # 403
    MISSING = "missing"  # no such model
    INVALID = "invalid"  # 400
    TOO_LONG = "too-long"  # the prompt does not fit
    REFUSED = "refused"  # the prompt is refused by policy
    BLOCKED = "blocked"  # the answer is withheld by policy
    RESET = "reset"  # the connection is reset
    SILENT = "silent"  # no answer at all
    CUT = "cut"  # a stream loses its connection after some chunks
    STALLED = "stalled"  # a stream says no more after some chunks
    MALFORMED = "malformed"  # a chunk that cannot be read
    UNTERMINATED = "unterminated"  # a stream ends in order, without its final marker
    LATE_ERROR = "late-error"  # an error event within the stream


RETRY_AFTER_S = 7
#: The faults that only a stream can have.
OF_STREAMS = (Fault.CUT, Fault.MALFORMED, Fault.UNTERMINATED)


@dataclass(frozen=True)
class Reply:
    """What the model says. `calls` are (name, arguments)."""

    text: str = "Hello from the other side."
    calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
    input_tokens: int = 12
    output_tokens: int = 5
    finish: str | None = None

    @property
    def pieces(self) -> list[str]:
        """The text in the chunks of a stream."""
        words = self.text.split(" ")
        return [word + " " for word in words[:-1]] + words[-1:] if self.text else []


@dataclass(frozen=True)
class Sent:
    """A request as it arrived."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass
class Fake:
    """Use it as a context manager. `url` is its address; `sent` what arrived, in order."""

    sent: list[Sent] = field(default_factory=list)
    _script: deque[Reply | Fault] = field(default_factory=deque)

    def then(self, *steps: Reply | Fault) -> Self:
        """Answer the next requests with these, one each."""
        self._script.extend(steps)
        return self

    @property
    def last(self) -> Sent:
        return self.sent[-1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def clear(self) -> None:
        self.sent.clear()
        self._script.clear()

    async def respond(self, request: web.Request, sent: Sent, step: Reply | Fault) -> web.StreamResponse:
        raise NotImplementedError

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode()
        sent = Sent(
            request.raw_path.partition("?")[0], dict(request.query), {k.lower(): v for k, v in request.headers.items()}, body
        )
        self.sent.append(sent)
        step = self._script.popleft() if self._script and not self.is_aside(sent) else Reply()
        if step is Fault.RESET:
            return await cut(request)
        if step is Fault.SILENT:
            await self._closing.wait()
        return await self.respond(request, sent, step)

    def is_aside(self, sent: Sent) -> bool:
        """Whether the request is no model call (a token, a role), which takes no step of the script."""
        return False

    async def stall(self) -> None:
        """Say nothing until the fake closes."""
        await self._closing.wait()

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        started.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def _serve(self, started: threading.Event) -> None:
        async def serve() -> None:
            self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
            app = web.Application(client_max_size=2**26)
            app.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._port = runner.addresses[0][1]
            started.set()
            await self._closing.wait()
            await runner.cleanup()

        asyncio.run(serve())


async def cut(request: web.Request) -> web.Response:
    """Drop the connection."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def stream(
    request: web.Request, headers: Mapping[str, str], chunks: Sequence[bytes], fault: Fault | None, fake: Fake
) -> web.StreamResponse:
    """Send the chunks of a stream, broken off as `fault` says. The last chunk is the final marker."""
    response = web.StreamResponse(headers=dict(headers))
    await response.prepare(request)
    broken = fault in (Fault.CUT, Fault.STALLED, Fault.MALFORMED, Fault.UNTERMINATED, Fault.LATE_ERROR)
    for chunk in chunks[: max(2, len(chunks) // 2)] if broken and fault is not Fault.LATE_ERROR else chunks:
        await response.write(chunk)
    if fault is Fault.CUT:
        await cut(request)
    elif fault is Fault.STALLED:
        await fake.stall()
    else:
        await response.write_eof()
    return response
