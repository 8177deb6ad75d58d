import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from core.errors import PlatformError, RateLimited
from server.streams import EventStream, event


class Connection:
    """The two ends of an ASGI connection."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.gone = asyncio.Event()
        self.alive = asyncio.Event()
        self.scope: dict[str, Any] = {"type": "http", "state": {}}

    async def receive(self) -> dict[str, str]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if self.text().count(": still here\n\n") == 2:
            self.alive.set()

    async def take(self, stream: EventStream) -> None:
        await stream(self.scope, self.receive, self.send)

    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent).decode()


def on_error(error: PlatformError) -> bytes:
    return event("error", {"code": error.code})


async def test_events_go_out_as_they_come() -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        yield event("token", {"text": "a"})
        yield event("done")

    connection = Connection()
    await connection.take(EventStream(events(), on_error))
    assert connection.sent[0]["status"] == 200
    assert (b"content-type", b"text/event-stream; charset=utf-8") in connection.sent[0]["headers"]
    assert connection.text() == 'event: token\ndata: {"text":"a"}\n\nevent: done\n\n'
    assert connection.sent[-1]["more_body"] is False


async def test_what_is_raised_before_the_first_event_is_a_plain_refusal() -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        raise RateLimited("no")
        yield b""

    connection = Connection()
    with pytest.raises(RateLimited):
        await connection.take(EventStream(events(), on_error))
    assert connection.sent == []


async def test_what_is_raised_later_is_the_last_event_and_marks_the_answer_as_failed() -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        yield event("token")
        raise RateLimited("no")

    connection = Connection()
    await connection.take(EventStream(events(), on_error))
    assert connection.text().endswith('event: error\ndata: {"code":"rate_limited"}\n\n')
    assert connection.scope["state"]["failed"] is True


async def test_a_stream_that_waits_for_its_first_event_starts_and_shows_signs_of_life() -> None:
    beats = asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        await beats.wait()
        raise RateLimited("no")
        yield b""

    connection = Connection()
    stream = EventStream(events(), on_error, heartbeat_s=0.02, first_event_s=0.02)
    taking = asyncio.create_task(connection.take(stream))
    await connection.alive.wait()
    assert connection.sent[0]["status"] == 200
    beats.set()
    await taking
    assert connection.text().endswith('event: error\ndata: {"code":"rate_limited"}\n\n')


async def test_hanging_up_closes_the_events() -> None:
    waiting, closed = asyncio.Event(), asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            yield event("token")
            waiting.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    connection = Connection()
    taking = asyncio.create_task(connection.take(EventStream(events(), on_error)))
    await waiting.wait()
    connection.gone.set()
    await taking
    assert closed.is_set()
