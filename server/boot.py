"""The first seconds: answers health at once, loads the platform in the background, and hands over to it.

Nothing heavy is imported here: fastapi, langserve and what they bring take seconds.
"""

import asyncio
import errno
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import structlog

from core.background import ended
from core.errors import Conflict, PlatformError
from core.memory import hurry, limit_arenas, settle
from core.settings import Settings, SettingsError
from server.certificates import Certificates
from server.ownership import Ownership
from server.readiness import Readiness
from server.security_headers import ALWAYS, page_policy

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

log = structlog.get_logger()

_LIVE, _READY, _HEALTH = "/api/v1/health/live", "/api/v1/health/ready", "/api/v1/health"
_JSON = (b"content-type", b"application/json")
_WAITING_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="1"><title>Starting…</title>
<style>html{color-scheme:light dark}body{font:17px/1.5 system-ui;display:grid;place-content:center;min-height:90vh;
text-align:center}p{opacity:.7}</style><body><h1>Starting…</h1>
<p>Still loading: %s. This page reloads by itself.</p></body></html>"""

#: Called once, at the first start, with the administrator's key (None when it was configured) and a sign-in link.
Greet = Callable[[str | None, str], None]


#: How long a connection stays open that nobody uses. Whoever keeps some in stock, a load balancer or a client's pool, must be
#: the one who closes them, or sends a request just as they go: Google's keep theirs for 600 s, Amazon's here 180 s.
_KEEP_ALIVE_S = 620


class Boot:
    """The ASGI application that the server runs: a bare one until the real one has been built, then that one."""

    def __init__(
        self,
        settings: Settings,
        *,
        beside: str | None = None,
        greet: Greet | None = None,
        give_up: Callable[[], None] | None = None,
    ) -> None:
        self._settings = settings
        self._beside = beside
        self._greet = greet
        self._give_up = give_up
        self.readiness = Readiness()
        self._app: ASGIApp | None = None
        #: Why the start failed, in words for the terminal; None while it has not.
        self.failure: str | None = None

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer_meanwhile(scope, send)

    async def _live(self, receive: "Receive", send: "Send") -> None:
        await receive()
        stop = asyncio.Event()
        work = asyncio.create_task(self._run(stop))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        stop.set()
        if self._app is None:
            await ended([work])
        await asyncio.gather(work, return_exceptions=True)
        await send({"type": "lifespan.shutdown.complete"})

    async def _run(self, stop: asyncio.Event) -> None:
        try:
            async with self._platform() as app:
                self._app = app
                await stop.wait()
                self._app = None
        except PlatformError as error:
            self._fail(error.message, code=error.code, **error.context)
        except SettingsError as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - the boundary: a start that fails ends the process, with its reason
            self._fail(f"{type(error).__name__}: {error}", exc_info=True)

    @asynccontextmanager
    async def _platform(self) -> "AsyncIterator[ASGIApp]":
        async with AsyncExitStack() as stack:
            lifespan = await asyncio.to_thread(_import_lifespan)
            state = await stack.enter_async_context(lifespan.running(self._settings, self.readiness, self._greet, self._beside))
            with self.readiness.starting("application"):
                app = await asyncio.to_thread(_build_app, state)
            yield app

    def _fail(self, reason: str, **facts: Any) -> None:
        self.failure = reason
        log.error("start.failed", **facts)
        if self._give_up is not None:
            self._give_up()

    async def _answer_meanwhile(self, scope: "Scope", send: "Send") -> None:
        path = scope["path"]
        if path == _LIVE:
            await _send(send, 200, [_JSON], json.dumps({"status": "live"}))
        elif path in (_READY, _HEALTH):
            await _send(send, 503 if path == _READY else 200, [_JSON], json.dumps(self.readiness.body()))
        elif any(name == b"accept" and b"text/html" in value for name, value in scope["headers"]):
            html = _WAITING_PAGE % ", ".join(self.readiness.loading)
            policy = (b"content-security-policy", page_policy(html.encode()).encode())
            await _send(send, 503, [(b"content-type", b"text/html; charset=utf-8"), (b"retry-after", b"1"), policy], html)
        else:
            error = {"code": "starting", "message": "The platform is still starting.", "request_id": None}
            await _send(send, 503, [_JSON, (b"retry-after", b"1")], json.dumps({"error": error}))


def _import_lifespan() -> Any:
    import server.lifespan

    return server.lifespan


def _build_app(state: Any) -> Any:
    from server.app import create_app

    app = create_app(state)
    settle()
    return app


async def _send(send: "Send", status: int, headers: list[tuple[bytes, bytes]], body: str) -> None:
    given = {name for name, _ in headers}
    headers = [*headers, (b"cache-control", b"no-store"), (b"content-length", str(len(body.encode())).encode())]
    headers += [pair for pair in ALWAYS if pair[0] not in given]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


def serve(settings: Settings, *, beside: str | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code: 0, or 1 when the start failed.

    The data directory and the port are taken first: a start that is refused has started nothing. `beside` names what runs
    beside the server in this process; see `server.lifespan`.
    """
    try:
        ownership = Ownership(settings)
    except Conflict as error:
        return _refused(f"{error.code}: {error.message}")
    except SettingsError as error:
        return _refused(str(error))
    try:
        certificates = Certificates(settings.tls) if settings.tls.serves else None
        listening = _listen(settings.host, settings.port)
        settings = settings.model_copy(update={"port": listening.getsockname()[1]})
        ownership.tell(settings.base_url)
        _announce(f"GenAI Platform  {settings.base_url}")
        with certificates.watched() if certificates else nullcontext():
            return _serve(settings, listening, beside, certificates)
    except (_NoAddress, SettingsError) as error:
        return _refused(str(error))
    finally:
        ownership.release()


def _refused(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


class _NoAddress(Exception):
    """The address of the settings cannot be listened on; the message names the setting."""


def _serve(settings: Settings, listening: socket.socket, beside: str | None, certificates: Certificates | None) -> int:
    import uvicorn

    from server.draining import DrainingServer
    from server.protocol import Protocol

    limit_arenas()
    hurry()

    def give_up() -> None:
        server.should_exit = True

    boot = Boot(settings, beside=beside, greet=_greet, give_up=give_up)
    server = DrainingServer(
        uvicorn.Config(
            boot,
            http=Protocol,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            lifespan="on",
            # whom to believe about a caller's address is `server.proxies`'s to say
            proxy_headers=False,
            ssl_context_factory=None if certificates is None else lambda *_: certificates.context,
        ),
        boot.readiness,
        settings.shutdown,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn takes these while it serves, and raises them again when all has ended: the end is an orderly one
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listening])
    if boot.failure is not None:
        sys.stderr.write(f"The platform could not start: {boot.failure}\n")
        return 1
    return 0


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)  # callers wait from now on, instead of being refused
    except OSError as error:
        listening.close()
        setting = "GENAI_PORT" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "GENAI_HOST"
        raise _NoAddress(f"Cannot listen on {host} port {port}: {error.strerror}. {setting} sets another.") from error
    return listening


def _greet(key: str | None, link: str) -> None:
    """The one moment when the administrator's key can be seen: on a terminal, never in what collects its output."""
    _announce(f"Sign in with this link, which works once within a day:\n  {link}")
    if key is not None and sys.stdout.isatty():
        _announce(f"The administrator's key, shown only now, for programs (Authorization: Bearer …):\n  {key}")


def show_sign_in_link(settings: Settings) -> int:
    """Print a new sign-in link for the administrator of this data directory's (or database's) platform. 1 where there is
    none; nothing is made then."""
    from server.access.administrator import NoAdministrator, new_sign_in_link

    try:
        say(asyncio.run(new_sign_in_link(settings)))
    except NoAdministrator as nobody:
        sys.stderr.write(f"{nobody}\n")
        return 1
    return 0


def _announce(line: str) -> None:
    """Tell whoever started the server. Where standard output is no terminal, it has log lines alone, which programs read."""
    if sys.stdout.isatty():
        say(line)
    else:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def say(line: str) -> None:
    """Answer the person who typed a command."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
