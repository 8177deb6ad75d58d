"""Connections to one HTTP server for asynchronous callers: a pool for each event loop, through the system's proxy."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson

from core import traces
from core.errors import ConnectionsBusy
from core.per_loop import PerLoop
from core.settings import Timeouts
from core.transport.trust import outward_context

#: No answer of a chat model comes near it, pictures included, and no line of a stream near half of it. What a provider sends
#: beyond it is not read: callers share this process's memory.
ANSWER_BYTES = 64 * 2**20
LINE_BYTES = 16 * 2**20
#: Seconds that a call waits for one of the platform's own connections to the provider.
WAIT_S = 5.0
#: Of those, how many the call that runs has: less than its provider has for a first token, so that the two are told apart.
patience: ContextVar[float] = ContextVar("connection_patience", default=WAIT_S)
#: Whether the request of the call that runs has gone out; None outside of a call.
sending: ContextVar["Sending | None"] = ContextVar("sending", default=None)
#: Of one header of an answer; gateways in between write long ones. What OpenAI's SDK reads (httpcore 1.0: 100 KiB).
HEADER_BYTES = 100 * 2**10

Headers = Mapping[str, str] | Callable[[], Awaitable[Mapping[str, str]]]


def limits_of(timeouts: Timeouts) -> aiohttp.ClientTimeout:
    """`connect` bounds opening a connection and `total` the whole exchange; the limits on the first token and between tokens
    are the failover's."""
    return aiohttp.ClientTimeout(total=timeouts.total, sock_connect=timeouts.connect)


def proxy_for(url: str) -> str | None:
    """The proxy of `HTTP_PROXY`, `HTTPS_PROXY` or the system's settings, None where there is none or `NO_PROXY` exempts the
    server."""
    address = urlsplit(url)
    proxy = getproxies().get(address.scheme)
    return None if proxy and proxy_bypass(address.hostname or "") else proxy


class TooMuch(aiohttp.ClientPayloadError):
    """A provider's answer is larger than any answer is."""


async def body_of(response: aiohttp.ClientResponse) -> bytes:
    """The whole body of an answer.

    Raises:
        TooMuch
    """
    announced = response.content_length
    if announced is not None and announced <= ANSWER_BYTES and "content-encoding" not in response.headers:
        return await response.read()  # it gives no more than was announced; unpacked it may
    blocks, size = [], 0
    async for block in response.content.iter_any():
        blocks.append(block)
        size += len(block)
        if size > ANSWER_BYTES:
            raise TooMuch
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


class Lines:
    """The lines of a stream of server-sent events from the blocks that arrive, ended by LF, CR LF or CR. aiohttp's own
    iteration fails on those over 128 KB."""

    __slots__ = ("_after_cr", "_rest", "_size")

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._size = 0
        self._after_cr = False

    def of(self, block: bytes) -> list[bytes]:
        """The lines that are whole with this block, without their ends.

        Raises:
            TooMuch
        """
        self._size += len(block)
        if self._size > ANSWER_BYTES:
            raise TooMuch
        if self._after_cr:
            self._after_cr, block = False, block.removeprefix(b"\n")
        if b"\r" in block:  # which JSON writes as an escape
            self._after_cr = block.endswith(b"\r")
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in block:
            self._rest.append(block)
            if self._size > LINE_BYTES and sum(map(len, self._rest)) > LINE_BYTES:
                raise TooMuch
            return []
        if self._rest:
            block = b"".join((*self._rest, block))
        *lines, rest = block.split(b"\n")
        self._rest = [rest] if rest else []
        return lines

    def rest(self) -> bytes:
        """What came after the last line's end."""
        return b"".join(self._rest)


@dataclass(frozen=True, slots=True)
class Connections:
    """How a pool is used; `limit` are those that may be open at once."""

    in_use: int
    idle: int
    limit: int


@runtime_checkable
class Connected(Protocol):
    """A provider that is called over connections of the platform's own, rather than those of an SDK."""

    def connections(self) -> Connections | None:
        """How they are used now; None before the first."""
        ...


def wait_s() -> float:
    """Seconds that the call that runs may wait for a connection."""
    return min(WAIT_S, patience.get())


def busy() -> ConnectionsBusy:
    """The error of a call that has waited so long."""
    return ConnectionsBusy("All connections to the provider are in use.", retry_after_s=1)


class Sending:
    """Whether a call's request has gone out, as far as one of these connections was asked to send it: an SDK's do not tell."""

    __slots__ = ("_asked", "_sent")

    def __init__(self) -> None:
        self._asked = self._sent = False

    @property
    def held(self) -> bool:
        """Nothing of it has gone out, for certain."""
        return self._asked and not self._sent

    def asked(self) -> None:
        self._asked = True

    def begins(self) -> None:
        self._sent = True


class _Request(aiohttp.ClientRequest):
    """Tells the call that it is sent for that it begins to be."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        if (call := sending.get()) is not None:
            call.begins()
        return await super().send(conn)


class _Connector(aiohttp.TCPConnector):
    """Waits for a free connection no longer than `wait_s`: without an end, a pool that is exhausted would look like a provider
    that is silent. aiohttp has no limit for this part alone; a test holds that it still asks here."""

    async def _wait_for_available_connection(self, *args: Any) -> None:
        try:
            async with asyncio.timeout(wait_s()):
                await super()._wait_for_available_connection(*args)
        except TimeoutError:
            raise busy() from None


class Wire:
    """A connection pool to one server, safe to use from any event loop.

    `headers` go with every request; where they are a function (of a token that is renewed) it is asked each time.
    Proxies are looked up when a loop first connects.
    """

    def __init__(self, base_url: str, headers: Headers | None = None, *, connections: int = 100) -> None:
        self.base_url = base_url
        self.connections = connections
        self._headers = headers if callable(headers) else None
        self._constant = {} if headers is None or callable(headers) else dict(headers)
        self._sessions: PerLoop[aiohttp.ClientSession] = PerLoop(_close)

    async def post(self, path: str, payload: Mapping[str, Any], limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """Send `payload` as JSON; the answer's headers are there. Left before its end (`async with`), the answer's connection
        is closed, which cancels the provider's work; read to its end, it is used again. A redirect is an answer and is not
        followed: credentials and prompts go to the address that the operator named and to no other.

        Raises:
            aiohttp.ClientError, TimeoutError: there is no answer.
            ConnectionsBusy: no connection was free for `WAIT_S`.
            whatever `headers` raises
        """
        if (call := sending.get()) is not None:
            call.asked()
        headers = await self._headers() if self._headers is not None else None
        if (traceparent := traces.outward()) is not None:
            headers = {**(headers or {}), "traceparent": traceparent}
        body = orjson.dumps(payload)
        address = self.base_url + path
        return await self._session().post(address, data=body, headers=headers, timeout=limits, allow_redirects=False)

    async def get(self, path: str, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """As `post`, without a payload."""
        headers = await self._headers() if self._headers is not None else None
        return await self._session().get(self.base_url + path, headers=headers, timeout=limits, allow_redirects=False)

    def use(self) -> "Connections":
        """How its connections are used now, those of all loops together."""
        found = [session.connector for session in self._sessions.values()]
        connectors = [connector for connector in found if isinstance(connector, aiohttp.TCPConnector)]
        in_use = sum(len(connector._acquired) for connector in connectors)  # noqa: SLF001 - aiohttp tells it in no other way
        idle = sum(len(some) for connector in connectors for some in list(connector._conns.values()))  # noqa: SLF001
        return Connections(in_use, idle, self.connections * max(1, len(connectors)))

    async def close(self) -> None:
        await self._sessions.close()

    def _session(self) -> aiohttp.ClientSession:
        return self._sessions.get(None, self._open)

    def _open(self) -> aiohttp.ClientSession:
        verified = outward_context() if self.base_url.startswith("https:") else True
        return aiohttp.ClientSession(
            request_class=_Request,
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
            connector=_Connector(limit=self.connections, ssl=verified),
            headers={"content-type": "application/json", **self._constant},
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=proxy_for(self.base_url),
        )


async def _close(session: aiohttp.ClientSession) -> None:
    await session.close()
