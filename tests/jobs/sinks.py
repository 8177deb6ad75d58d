"""Receivers of notices on the loopback interface: a webhook's and a mail server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from core.alerts.notices import NOTICE, SIGNATURE, signature


@dataclass
class Sink:
    """Takes webhooks, but for the first answers, which have these statuses instead of 204."""

    port: int = 0
    statuses: list[int] = field(default_factory=list)
    seen: list[tuple[str, str, bytes]] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=in-the-address"

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.entered.set()
        if self.hold is not None:
            await self.hold.wait()
        self.seen.append((request.headers[NOTICE], request.headers[SIGNATURE], body))
        status = self.statuses.pop(0) if self.statuses else 204
        if status == 204:
            self.taken.append(request.headers[NOTICE])
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})

    def all_signed(self, secret: str) -> bool:
        return all(
            signed == signature(secret, body, int(signed.partition(",")[0].removeprefix("t="))) for _, signed, body in self.seen
        )


@asynccontextmanager
async def webhook() -> AsyncIterator[Sink]:
    sink = Sink()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", sink.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sink.port = runner.addresses[0][1]
    yield sink
    await runner.cleanup()


@dataclass
class MailServer:
    port: int = 0
    mails: list[str] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            match line.upper().split(" ")[0]:
                case "DATA":
                    writer.write(b"354 go on\r\n")
                    self.mails.append((await reader.readuntil(b"\r\n.\r\n")).decode())
                    writer.write(b"250 taken\r\n")
                case "QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                case _:
                    writer.write(b"250 well\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    made = MailServer()
    server = await asyncio.start_server(made.talk, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made
