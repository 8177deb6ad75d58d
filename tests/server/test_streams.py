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


async def test_events_that_are_there_at_once_go_out_in_one_write() -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        for number in range(32):
            yield event("token", {"text": str(number)})
        await asyncio.sleep(0)
        yield event("done")

    connection = Connection()
    await connection.take(EventStream(events(), on_error))
    bodies = [message["body"] for message in connection.sent[1:]]
    assert bodies[0].count(b"event: token") == 32
    assert len(bodies) <= 3
    assert connection.text().endswith("event: done\n\n")


async def test_a_reader_who_does_not_read_makes_the_events_wait() -> None:
    made, read = 0, asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        nonlocal made
        for made in range(1000):  # noqa: B007 - counts
            yield b"x" * 2**10

    class Slow(Connection):
        async def send(self, message: Any) -> None:
            if message["type"] == "http.response.body":
                await read.wait()
            await super().send(message)

    connection = Slow()
    taking = asyncio.create_task(connection.take(EventStream(events(), on_error)))
    for _ in range(100):
        await asyncio.sleep(0)
    assert 0 < made < 200
    read.set()
    await taking
    assert len(connection.text()) == 1000 * 2**10


async def test_an_end_that_comes_while_something_is_being_sent_is_not_missed() -> None:
    sending, ended = asyncio.Event(), asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        yield event("token")
        await sending.wait()
        yield event("done")
        ended.set()

    class Busy(Connection):
        async def send(self, message: Any) -> None:
            await super().send(message)
            if b"token" in message.get("body", b""):
                sending.set()
                await ended.wait()
                await asyncio.sleep(0)

    connection = Busy()
    await asyncio.wait_for(connection.take(EventStream(events(), on_error)), 60)
    assert connection.text().endswith("event: done\n\n")
    assert connection.sent[-1]["more_body"] is False
