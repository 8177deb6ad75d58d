"""The end of a server: open answers have their time, nobody new is let in, what remains is told so."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.reliability_settings import ShutdownSettings
from server import draining
from server.draining import DrainingServer
from server.edge import Edge
from server.protocol import Protocol
from server.readiness import Readiness
from server.streams import EventStream, event


@dataclass
class Here:
    """A server in this process, whose answers wait until they are let go."""

    server: DrainingServer
    readiness: Readiness
    port: int
    ended: "asyncio.Task[None]"
    go: asyncio.Event = field(default_factory=asyncio.Event)
    awaited: asyncio.Event = field(default_factory=asyncio.Event)
    settled: list[str] = field(default_factory=list)

    async def stream(self, _request: Request) -> Response:
        async def events() -> AsyncGenerator[bytes, None]:
            try:
                yield event("token", {"text": "a"})
                await self.go.wait()
                yield event("done")
            finally:
                self.settled.append("stream")

        return EventStream(events(), lambda error: event("error", error.body("req")))

    async def whole(self, _request: Request) -> Response:
        self.awaited.set()
        try:
            await self.go.wait()
        finally:
            self.settled.append("whole")
        return JSONResponse({"output": "all"})

    async def ready(self, _request: Request) -> Response:
        return JSONResponse(self.readiness.body(), 200 if self.readiness.ready else 503)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=20) as client:
            yield client

    def stop(self) -> None:
        self.server.should_exit = True


@asynccontextmanager
async def serving(**shutdown: float) -> AsyncIterator[Here]:
    readiness = Readiness(waiting=[])
    app = Starlette()
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app=Edge(app, readiness=readiness), http=Protocol, lifespan="off", log_config=None)
    server = DrainingServer(config, readiness, ShutdownSettings(**shutdown))
    ended = asyncio.create_task(server._serve([listening]))
    here = Here(server, readiness, listening.getsockname()[1], ended)
    for path, endpoint in (("/stream", here.stream), ("/whole", here.whole), ("/ready", here.ready)):
        app.router.routes.append(Route(path, endpoint))
    try:
        yield here
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.wait_for(ended, 20)


async def _open(here: Here, client: httpx.AsyncClient) -> tuple[Any, AsyncIterator[str], "asyncio.Task[httpx.Response]"]:
    """A stream that has begun, and a whole answer that is awaited."""
    asked = client.build_request("GET", "/stream")
    streamed = await client.send(asked, stream=True)
    lines = streamed.aiter_lines()
    assert await anext(lines) == "event: token"
    whole = asyncio.create_task(client.get("/whole"))
    await here.awaited.wait()
    return streamed, lines, whole


async def _refused(here: Here) -> None:
    """Until nobody is let in any more."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", here.port)
        except ConnectionRefusedError:
            return
        writer.close()
        await asyncio.sleep(0.01)


async def test_open_answers_run_to_their_end_and_nobody_new_is_let_in() -> None:
    async with serving(grace_s=60) as here, here.client() as client:
        streamed, lines, whole = await _open(here, client)
        here.stop()
        await _refused(here)
        assert not here.ended.done()
        here.go.set()
        assert [line async for line in lines][-2:] == ["event: done", ""]
        assert (await whole).json() == {"output": "all"}
        await streamed.aclose()
        await asyncio.wait_for(here.ended, 20)  # before the grace is over: nothing is open


async def test_while_load_balancers_notice_requests_are_served_and_sent_elsewhere() -> None:
    async with serving(notice_s=60, grace_s=60) as here, here.client() as client:
        assert (await client.get("/ready")).json() == {"status": "ready"}
        here.stop()
        async with here.client() as other:
            told = await other.get("/ready")
            assert (told.status_code, told.json()) == (503, {"status": "stopping"})
            here.go.set()
            for _ in range(200):
                answer = await other.get("/whole")
                assert answer.json() == {"output": "all"}
                if answer.headers.get("connection") == "close":
                    return
                await asyncio.sleep(0.01)
        pytest.fail("its callers are not sent elsewhere")


async def test_what_has_not_ended_by_then_is_told_so_and_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "CUT_OFF_S", 20.0)
    async with serving(grace_s=0.2) as here, here.client() as client:
        streamed, lines, whole = await _open(here, client)
        here.stop()
        *_, name, data, _ = [line async for line in lines]
        assert name == "event: error"
        assert json.loads(data.removeprefix("data: "))["error"]["code"] == "server_stopping"
        await streamed.aclose()
        answer = await whole
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "server_stopping")
        assert answer.headers["retry-after"] == "1"
        assert sorted(here.settled) == ["stream", "whole"]
        await asyncio.wait_for(here.ended, 20)
