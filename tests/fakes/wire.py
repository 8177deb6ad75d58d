"""A loopback provider in a thread of its own, so that synchronous SDKs can be tested too. Each cloud's fake renders its format.

What it answers is scripted by request: a `Reply`, a `Fault`, or a `Break` at a given chunk. Without a script it replies.
"""

import asyncio
import json
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import cycle
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from aiohttp import web


class Fault(StrEnum):
    RATE = "rate"  # 429, with Retry-After
    RATE_BARE = "rate-bare"  # 429, without it
    SERVER = "server"  # 500
    GATEWAY = "gateway"  # 502, whose body is a page of HTML
    UNAVAILABLE = "unavailable"  # 503
    CREDENTIAL = "credential"  # a key that is not known
    FORBIDDEN = "forbidden"  # 403
    MISSING = "missing"  # no such model
    INVALID = "invalid"  # 400
    TOO_LONG = "too-long"  # the prompt does not fit
    REFUSED = "refused"  # the prompt is refused by policy
    BLOCKED = "blocked"  # the answer is withheld by policy
    BROKEN = "broken"  # an answer ends halfway, in order, for a reason that is an error of the provider's
    PREFILL = "prefill"  # an answer that is begun is refused; others are answered
    RESET = "reset"  # the connection is reset
    SILENT = "silent"  # no answer at all
    SLOW = "slow"  # the headers of an answer, and never its first token
    CUT = "cut"  # an answer loses its connection halfway
    STALLED = "stalled"  # an answer says no more halfway
    EMPTY = "empty"  # chunks that tell nothing, one after the other, and never a first token
    HOLLOW = "hollow"  # an answer goes on in such chunks halfway
    MALFORMED = "malformed"  # a chunk that cannot be read, and the rest after it
    UNTERMINATED = "unterminated"  # a stream ends in order, without its final marker
    LATE_ERROR = "late-error"  # an error event within the stream


RETRY_AFTER_S = 7
#: The faults that only a stream can have.
OF_STREAMS = (Fault.CUT, Fault.MALFORMED, Fault.UNTERMINATED)
#: The faults of an answer whose status was a success.
_HALFWAY = (
    Fault.SLOW,
    Fault.EMPTY,
    Fault.HOLLOW,
    Fault.CUT,
    Fault.STALLED,
    Fault.MALFORMED,
    Fault.UNTERMINATED,
    Fault.LATE_ERROR,
)
#: Seconds between two chunks that tell nothing.
EMPTY_EVERY_S = 0.1


@dataclass(frozen=True)
class Reply:
    """What the model says. `calls` are (name, arguments); an empty `finish`: no reason for the end; delays are in seconds."""

    text: str = "Hello from the other side."
    calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
    input_tokens: int = 12
    output_tokens: int = 5
    finish: str | None = None
    first_token_s: float = 0.0
    between_s: float = 0.0
    #: What it thinks before it says anything, in pieces, where its protocol can tell.
    thoughts: Sequence[str] = ()
    #: What it says that it used, in its protocol's own form, in place of the numbers above; and what else stands beside that.
    usage: Mapping[str, Any] | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)

    @property
    def pieces(self) -> list[str]:
        """The text in the chunks of a stream."""
        words = self.text.split(" ")
        return [word + " " for word in words[:-1]] + words[-1:] if self.text else []


@dataclass(frozen=True)
class Break:
    """A fault that shows within an answer, after so many chunks of its stream (the first may carry no text)."""

    fault: Fault
    after: int
    reply: Reply = Reply()


@dataclass(frozen=True)
class Raw:
    """An answer as it stands: a status, a body, and headers besides."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


Step = Reply | Fault | Break | Raw
_RIDDLE = re.compile(r"Write these words in this order, [a-z ]+: ([a-z ]+)")


@dataclass(frozen=True)
class Sent:
    """A request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass
class Fake:
    """Use it as a context manager. `url` is its address; `sent` what arrived, in order.

    `continues`: a request whose last message is the assistant's is answered with the rest of the reply. `connections` are the
    peers that ever connected; `left` counts the requests whose caller hung up before the end.
    """

    sent: list[Sent] = field(default_factory=list)
    continues: bool = False
    connections: set[Any] = field(default_factory=set)
    left: int = 0
    #: The one fault that the provider has for ever; lists of models and tokens have it too.
    lasting: Fault | None = None
    _script: deque[Step] = field(default_factory=deque)
    _always: Iterator[Step] | None = None

    def then(self, *steps: Step) -> Self:
        """Answer the next requests with these, one each."""
        self._script.extend(steps)
        return self

    def always(self, *steps: Step) -> Self:
        """Answer with these for ever, over and over, once the script is at its end."""
        self._always = cycle(steps) if steps else None
        self.lasting = steps[0] if len(steps) == 1 and isinstance(steps[0], Fault) else None
        return self

    @property
    def last(self) -> Sent:
        return self.sent[-1]

    @property
    def asked(self) -> list[Sent]:
        """The model calls alone, without those of the platform's own."""
        return [sent for sent in self.sent if not self.is_aside(sent) and self.riddle(sent.body) is None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def clear(self) -> None:
        self.sent.clear()
        self._script.clear()
        self._always = self.lasting = None
        self.connections.clear()
        self.left = 0

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds.

        Raises:
            TimeoutError: it does not, for 10 s.
        """
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - it changes in another thread
                await asyncio.sleep(0.005)

    async def respond(self, request: web.Request, sent: Sent, step: Step) -> web.StreamResponse:
        raise NotImplementedError

    def length(self, reply: Reply) -> int:
        """How many chunks a streamed answer has, its usage and its final marker included."""
        raise NotImplementedError

    def begun(self, body: Any) -> str | None:
        """The text of the last message where that is the assistant's."""
        messages = body.get("messages") if isinstance(body, dict) else None
        if not messages or messages[-1].get("role") != "assistant":
            return None
        content = messages[-1].get("content") or ""
        return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self.connections.add(request.transport.get_extra_info("peername"))
        raw = await request.read()
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode()
        headers = {k.lower(): v for k, v in request.headers.items()}
        path = urlsplit(request.raw_path).path  # as a proxy it is asked for a whole address
        sent = Sent(request.method, path, dict(request.query), headers, body)
        self.sent.append(sent)
        aside = self.is_aside(sent)
        riddle = None if aside else self.riddle(body)
        step: Step = (self.lasting or Reply()) if aside else riddle or self._prefilled(self._next(), body)
        try:
            if step is Fault.RESET:
                return await cut(request)
            if step is Fault.SILENT:
                await self._closing.wait()
            if step is Fault.GATEWAY:
                return web.Response(status=502, text="<html><h1>502 Bad Gateway</h1></html>", content_type="text/html")
            if isinstance(step, Raw):
                headers = {"content-type": step.content_type, **step.headers}
                return web.Response(status=step.status, body=step.body, headers=headers)
            return await self.respond(request, sent, step)
        except (asyncio.CancelledError, ConnectionResetError):
            self.left += 1
            raise asyncio.CancelledError from None  # what aiohttp passes over in silence

    def riddle(self, body: Any) -> Step | None:
        """What is said to the platform's question whether an answer that is begun is gone on with, which takes no step of the
        script; None where it is not asked."""
        begun = self.begun(body)
        asked = _RIDDLE.search(json.dumps(body)) if begun else None
        if begun is None or asked is None:
            return None
        return Reply(asked[1].removeprefix(begun) if self.continues else asked[1])

    def _next(self) -> Step:
        if self._script:
            return self._script.popleft()
        return next(self._always) if self._always is not None else Reply()

    def _prefilled(self, step: Step, body: Any) -> Step:
        """The step as it is for an answer that is begun."""
        begun = self.begun(body)
        prefill = step is Fault.PREFILL or (isinstance(step, Break) and step.fault is Fault.PREFILL)
        if prefill and begun is None:
            return step.reply if isinstance(step, Break) else Reply()
        if prefill:
            return Fault.PREFILL
        if begun is None or not self.continues:
            return step
        if begun != begun.rstrip():
            return Fault.PREFILL
        reply = step if isinstance(step, Reply) else step.reply if isinstance(step, Break) else Reply()
        rest = replace(reply, text=reply.text.removeprefix(begun))
        if isinstance(step, Fault):
            return Break(step, -1, rest) if step in (*_HALFWAY, Fault.BROKEN) else step
        if isinstance(step, Raw):
            return step
        return rest if isinstance(step, Reply) else replace(step, reply=rest)

    def is_aside(self, sent: Sent) -> bool:
        """Whether the request is no model call (a token, a role, a list), which takes no step of the script."""
        return False

    async def stall(self) -> None:
        """Say nothing until the fake closes or the caller hangs up."""
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
            runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._port = runner.addresses[0][1]
            started.set()
            await self._closing.wait()
            await runner.cleanup()

        asyncio.run(serve())


def reply_of(step: Step, *, blocked: str, broken: str = "error") -> Reply:
    """What a step says, as far as it says something. `blocked` is the provider's name for an answer withheld by policy,
    `broken` for one that went wrong."""
    if step is Fault.BROKEN or (isinstance(step, Break) and step.fault is Fault.BROKEN):
        reply = step.reply if isinstance(step, Break) else Reply()
        return replace(reply, text="".join(reply.pieces[: len(reply.pieces) // 2]), finish=broken)
    if isinstance(step, Break):
        return step.reply
    if isinstance(step, Reply):
        return step
    return Reply(text="", finish=blocked) if step is Fault.BLOCKED else Reply()


async def cut(request: web.Request) -> web.Response:
    """Drop the connection."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def whole(request: web.Request, answer: Mapping[str, Any], step: Step, fake: Fake) -> web.StreamResponse:
    """Send an answer in one piece, broken off as `step` says."""
    fault = step.fault if isinstance(step, Break) else step if isinstance(step, Fault) else None
    body = json.dumps(answer).encode()
    if isinstance(step, Reply):
        await asyncio.sleep(step.first_token_s)
    if fault in (Fault.MALFORMED, Fault.UNTERMINATED):
        return web.Response(body=body[: len(body) // 2], content_type="application/json")
    response = web.StreamResponse(headers={"content-type": "application/json", "content-length": str(len(body))})
    await response.prepare(request)
    if fault in (Fault.CUT, Fault.STALLED, Fault.HOLLOW, Fault.SLOW, Fault.EMPTY):
        await response.write(body[: 0 if fault in (Fault.SLOW, Fault.EMPTY) else len(body) // 2])
        await (cut(request) if fault is Fault.CUT else fake.stall())
        return response
    await response.write(body)
    await response.write_eof()
    return response


@dataclass(frozen=True)
class Wreck:
    """How a cloud's stream looks when it breaks: a chunk that cannot be read, an error event, a chunk that tells nothing."""

    spoil: Callable[[bytes], bytes]
    late_error: bytes
    empty: bytes
    #: Chunks at the end without which a stream is not whole.
    ending: int = 1


async def stream(
    request: web.Request, headers: Mapping[str, str], chunks: Sequence[bytes], step: Step, fake: Fake, wreck: Wreck
) -> web.StreamResponse:
    """Send the chunks of a stream, broken off as `step` says. Without a place of its own a fault comes halfway."""
    fault = step.fault if isinstance(step, Break) else step if isinstance(step, Fault) else None
    after = step.after if isinstance(step, Break) and step.after >= 0 else max(2, len(chunks) // 2)
    if fault is Fault.UNTERMINATED and not isinstance(step, Break):
        after = len(chunks) - wreck.ending
    response = web.StreamResponse(headers=dict(headers))
    await response.prepare(request)
    if fault is Fault.SLOW:
        await fake.stall()
    sending = [] if fault is Fault.EMPTY else list(chunks)
    if fault is Fault.MALFORMED:
        sending[after] = wreck.spoil(sending[after])
    elif fault in _HALFWAY and sending:
        sending = sending[:after] + ([wreck.late_error] if fault is Fault.LATE_ERROR else [])
    reply = step if isinstance(step, Reply) else Reply()
    for index, chunk in enumerate(sending):
        await asyncio.sleep(reply.between_s if index else reply.first_token_s)
        await response.write(chunk)
    if fault is Fault.CUT:
        await cut(request)
    elif fault is Fault.STALLED:
        await fake.stall()
    elif fault in (Fault.EMPTY, Fault.HOLLOW):
        while True:  # until the caller hangs up
            await asyncio.sleep(EMPTY_EVERY_S)
            await response.write(wreck.empty)
    else:
        await response.write_eof()
    return response
