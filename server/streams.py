"""Server-sent events as answers, and work that ends when its caller hangs up."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from core.errors import PlatformError
from server.error_responses import as_platform_error

T = TypeVar("T")

#: Seconds without a byte after which a comment is sent: proxies cut connections that are silent for a minute.
HEARTBEAT_S = 15.0
#: Seconds that a stream waits for its first event before it sends its status: a refusal within them is a plain 4xx or 5xx.
FIRST_EVENT_S = 10.0
_HEARTBEAT = b": still here\n\n"


class CallerGone(Exception):
    """The caller hung up; nobody is left to read an answer."""


def event(name: str, data: Any = None, *, number: int | None = None) -> bytes:
    """One server-sent event with JSON data; None sends the name alone. `number` is the id that a caller resumes after."""
    head = b"event: %b\n" % name.encode() if number is None else b"id: %d\nevent: %b\n" % (number, name.encode())
    if data is None:
        return head + b"\n"
    return head + b"data: %b\n\n" % orjson.dumps(data, default=_as_json)


def _as_json(value: Any) -> Any:
    """LangChain's messages and our models as plain JSON."""
    return value.model_dump(mode="json")


def json_bytes(value: Any) -> bytes:
    """JSON of what runnables return."""
    return orjson.dumps(value, default=_as_json)


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def until_hung_up(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled as soon as the caller hangs up. The request's body must have been read.

    Raises:
        CallerGone: the caller hung up.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_hang_up(request.receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise CallerGone
        return task.result()
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


class GoneResponse(Response):
    """Sends nothing: the connection is closed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        return


class EventStream(Response):
    """Sends the events of an asynchronous generator, which is closed as soon as the caller hangs up.

    What it raises before its first event (within `first_event_s`) goes on to the error handlers, as a plain refusal; what it
    raises later becomes the event that `on_error` makes of it, the last one. The generator runs in one task from its start
    to its end. `scope["state"]["failed"]` tells middleware that an answer with status 200 ended in an error.
    """

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        on_error: Callable[[PlatformError], bytes],
        *,
        heartbeat_s: float = HEARTBEAT_S,
        first_event_s: float = FIRST_EVENT_S,
    ) -> None:
        super().__init__(None, 200, {"cache-control": "no-cache", "x-accel-buffering": "no"})
        self.raw_headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        self.raw_headers.append((b"content-type", b"text/event-stream; charset=utf-8"))
        self._events = events
        self._on_error = on_error
        self._heartbeat_s = heartbeat_s
        self._first_event_s = first_event_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ready = asyncio.Event()
        state = _Progress()
        pump = asyncio.create_task(self._pump(scope, send, ready, state))
        gone = asyncio.create_task(_hang_up(receive))
        first = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait((pump, gone, first), timeout=self._first_event_s, return_when=asyncio.FIRST_COMPLETED)
            if pump.done() and not state.started:
                pump.result()
            if not gone.done():
                await self._start(send, state)
            while not pump.done() and not gone.done():
                await asyncio.wait((pump, gone), timeout=self._heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
                if not pump.done() and not gone.done() and not state.finished and state.silent_for() >= self._heartbeat_s:
                    state.touch()
                    await send({"type": "http.response.body", "body": _HEARTBEAT, "more_body": True})
            if pump.done():
                pump.result()
        finally:
            for task in (pump, gone, first):
                task.cancel()
            await asyncio.gather(pump, gone, first, return_exceptions=True)

    async def _start(self, send: Send, state: "_Progress") -> None:
        if not state.started:
            state.started = True
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

    async def _pump(self, scope: Scope, send: Send, ready: asyncio.Event, state: "_Progress") -> None:
        try:
            async with aclosing(self._events) as events:
                async for data in events:
                    ready.set()
                    await self._start(send, state)
                    state.touch()
                    await send({"type": "http.response.body", "body": data, "more_body": True})
        except Exception as error:
            if not state.started:
                raise
            scope.setdefault("state", {})["failed"] = True
            last = self._on_error(as_platform_error(error))
            await send({"type": "http.response.body", "body": last, "more_body": True})
        await self._start(send, state)
        state.finished = True
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Progress:
    """How far a stream has got."""

    def __init__(self) -> None:
        self.started = self.finished = False
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()

    def touch(self) -> None:
        self._last = self._loop.time()

    def silent_for(self) -> float:
        return self._loop.time() - self._last
