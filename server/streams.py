"""Server-sent events as answers, and work that ends when its caller hangs up."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from core.context import current
from core.errors import PlatformError
from server.cut_off import is_cut_off, take_over
from server.error_responses import as_platform_error

T = TypeVar("T")

#: Seconds without a byte after which a comment is sent: proxies cut connections that are silent for a minute.
HEARTBEAT_S = 15.0
#: Seconds that a stream waits for its first event before it sends its status: a refusal within them is a plain 4xx or 5xx.
FIRST_EVENT_S = 10.0
_HEARTBEAT = b": still here\n\n"
#: Seconds of work after which a hang-up is looked for: shorter work is over before it would have been cancelled.
LOOK_AFTER_S = 0.05
#: Bytes that may wait for a slow reader before the events wait, too.
_OUTBOX_BYTES = 64 * 2**10
#: By so much a timer may ring early (uvloop counts milliseconds).
_TIMER_RESOLUTION_S = 0.005


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


class _HangUp:
    """Calls `then` when the caller hangs up; looks for it only once the work has taken `LOOK_AFTER_S`."""

    def __init__(self, receive: Receive, then: Callable[[], object]) -> None:
        self._receive = receive
        self._then = then
        self._watch: asyncio.Task[None] | None = None
        self._later = asyncio.get_running_loop().call_later(LOOK_AFTER_S, self._look)
        self.happened = False

    def _look(self) -> None:
        self._watch = asyncio.create_task(_hang_up(self._receive))
        self._watch.add_done_callback(self._seen)

    def _seen(self, watch: asyncio.Task[None]) -> None:
        if not watch.cancelled():
            self.happened = True
            self._then()

    def stop(self) -> None:
        self._later.cancel()
        if self._watch is not None:
            self._watch.cancel()


async def until_hung_up(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled as soon as the caller hangs up. The request's body must have been read.

    Raises:
        CallerGone: the caller hung up.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    hang_up = _HangUp(request.receive, task.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        if hang_up.happened and task.uncancel() == 0:
            raise CallerGone from None
        raise
    finally:
        hang_up.stop()


class GoneResponse(Response):
    """Sends nothing: the connection is closed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        return


class EventStream(Response):
    """Sends the events of an asynchronous generator, which is closed as soon as the caller hangs up.

    What it raises before its first event (within `first_event_s`) goes on to the error handlers, as a plain refusal; what it
    raises later becomes the event that `on_error` makes of it, the last one. The generator runs in one task from its start
    to its end. `scope["state"]["failed"]` tells middleware that an answer with status 200 ended in an error.

    Cancelled by a server that cuts off what is open, it closes the generator, which settles what was used, and sends
    `server_stopping` as its last event.
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
        outbox = _Outbox()
        pump = asyncio.create_task(self._pump(scope, outbox))
        pump.add_done_callback(outbox.wake)
        hang_up = _HangUp(receive, outbox.wake)
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        outbox.wake_after(self._first_event_s)
        try:
            while not hang_up.happened:
                ended = pump.done()
                data = outbox.take()
                if ended:
                    pump.result()  # raises what came before the first event; what came later is an event
                if data or ended or outbox.is_due():
                    if not outbox.started:
                        outbox.started = True
                        await send(start)
                        outbox.wake_after(self._heartbeat_s)
                    elif not data and not ended:
                        data = _HEARTBEAT
                        outbox.wake_after(self._heartbeat_s)
                    if ended:
                        await send({"type": "http.response.body", "body": data, "more_body": False})
                        break
                    if data:
                        await send({"type": "http.response.body", "body": data, "more_body": True})
                        outbox.sent()
                await outbox.news()
        except asyncio.CancelledError:
            if not is_cut_off(scope) or not outbox.started:
                raise
            await self._tell_cut(scope, send, pump, outbox)
        finally:
            outbox.close()
            hang_up.stop()
            pump.cancel()
            if not pump.done():
                await asyncio.gather(pump, return_exceptions=True)

    async def _tell_cut(self, scope: Scope, send: Send, pump: "asyncio.Task[None]", outbox: "_Outbox") -> None:
        stopping = take_over()
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
        if not scope.setdefault("state", {}).get("failed"):  # else its own error is among what is still to be sent
            self._fail(scope, outbox, stopping)
        await send({"type": "http.response.body", "body": outbox.take(), "more_body": False})

    def _fail(self, scope: Scope, outbox: "_Outbox", error: PlatformError) -> None:
        scope.setdefault("state", {})["failed"] = True
        current().refused(error.code, error.status)
        outbox.put(self._on_error(error))

    async def _pump(self, scope: Scope, outbox: "_Outbox") -> None:
        try:
            async with aclosing(self._events) as events:
                async for data in events:
                    outbox.put(data)
                    if outbox.is_full():
                        await outbox.room()
        except Exception as error:
            if not outbox.told and not outbox.started:
                raise
            self._fail(scope, outbox, as_platform_error(error))


class _Outbox:
    """What is to be sent. What comes before the sender gets its turn goes out together, in one write."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []
        self._size = 0
        self._is_woken = False
        self._news: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        #: Whether there was any event, and whether the status is out.
        self.told = self.started = False

    def put(self, data: bytes) -> None:
        self.told = True
        self._waiting.append(data)
        self._size += len(data)
        self.wake()

    def take(self) -> bytes:
        if not self._waiting:
            return b""
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        return data

    def is_full(self) -> bool:
        return self._size >= _OUTBOX_BYTES

    async def room(self) -> None:
        self._room = self._loop.create_future()
        await self._room

    def wake(self, _: object = None) -> None:
        """Have the sender look again."""
        self._is_woken = True
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def news(self) -> None:
        """Until the next `wake`, or one that came while something was being sent."""
        if not self._is_woken:
            self._news = self._loop.create_future()
            await self._news
        self._is_woken = False

    def wake_after(self, seconds: float) -> None:
        """Wake the sender once nothing has been sent for so long."""
        self._silence_s = seconds
        if self._timer is not None:
            self._timer.cancel()
        self._due = self._loop.time() + seconds
        self._timer = self._loop.call_at(self._due, self._ring)

    def sent(self) -> None:
        self._due = self._loop.time() + self._silence_s

    def is_due(self) -> bool:
        return self._loop.time() >= self._due - _TIMER_RESOLUTION_S

    def _ring(self) -> None:
        # the timer stays where it was while events go out: moving it with each of them would cost more than the sending
        if self.is_due():
            self.wake()
        self._timer = self._loop.call_at(max(self._due, self._loop.time() + self._silence_s / 2), self._ring)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
