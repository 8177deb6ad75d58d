"""Models that are built once, and never on an event loop: an SDK takes up to 10 s to import, and a client 0.1 s to make."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import httpx  # noqa: F401 - SDKs look at what `sys.modules` has of it: never while another thread is importing it
import httpx2
from langchain_core.language_models import BaseChatModel

from core.per_loop import PerLoop
from core.settings import Timeouts
from core.transport.trust import outward_context
from providers import wire
from providers.joined_work import JoinedWork
from providers.lazy_chat import ModelBeingBuilt
from providers.wire import proxy_for


class BuiltModels:
    """Chat models by name and timeouts. `build` may block, import what it needs, and ask a cloud for credentials."""

    def __init__(self, build: Callable[[str, Timeouts], BaseChatModel]) -> None:
        self._build = build
        self._built: dict[tuple[str, Timeouts], BaseChatModel] = {}
        self._lock = threading.Lock()
        self._building: JoinedWork[BaseChatModel] = JoinedWork("build-model")

    def get(self, model: str, timeouts: Timeouts) -> BaseChatModel:
        """The model itself; on an event loop, as long as it is not built, one that stands for it and builds it in a thread."""
        if (built := self._built.get((model, timeouts))) is not None:
            return built
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self.build(model, timeouts)
        return ModelBeingBuilt(find=lambda: self.built(model, timeouts))

    async def built(self, model: str, timeouts: Timeouts) -> BaseChatModel:
        """As `build`, without blocking the event loop or one of its threads."""
        return await self._building.of((model, timeouts), lambda: self.build(model, timeouts))

    def build(self, model: str, timeouts: Timeouts) -> BaseChatModel:
        """Build it now, or give the one that is there. Blocking."""
        with self._lock:
            if (model, timeouts) not in self._built:
                self._built[model, timeouts] = self._build(model, timeouts)
            return self._built[model, timeouts]

    def has(self, model: str) -> bool:
        """Whether a model of this name is built, with whatever timeouts."""
        return any(name == model for name, _ in self._built)


class LoopTransport(httpx2.AsyncBaseTransport):
    """Connections of an SDK's asynchronous client, a pool for each event loop, so that all loops share one client.

    The system's proxy settings (`HTTPS_PROXY`, `NO_PROXY`) are heeded.
    """

    def __init__(self, connections: int) -> None:
        self._limits = httpx2.Limits(max_connections=connections)
        self._pools: PerLoop[httpx2.AsyncHTTPTransport] = PerLoop(_close)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        proxy = proxy_for(str(request.url))  # a client with a transport of its own heeds no proxy by itself
        pool = self._pools.get(proxy, lambda: self._open(proxy))
        response = await pool.handle_async_request(request)
        response.stream = _Bounded(response.stream)  # type: ignore[arg-type] # an asynchronous transport's is one
        return response

    def _open(self, proxy: str | None) -> httpx2.AsyncHTTPTransport:
        return httpx2.AsyncHTTPTransport(verify=outward_context(), limits=self._limits, proxy=proxy)

    async def aclose(self) -> None:
        await self._pools.close()


class _Bounded(httpx2.AsyncByteStream):
    """An answer's bytes, no more of them than `ANSWER_BYTES`."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for block in self._stream:
            size += len(block)
            if size > wire.ANSWER_BYTES:
                raise httpx2.ReadError("The answer is larger than any answer is.")
            yield block

    async def aclose(self) -> None:
        await self._stream.aclose()


class HTTPClients:
    """The SDKs' HTTP clients of one provider, closed with it."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._transport = LoopTransport(connections)
        self._synchronous: list[httpx2.Client] = []

    def make(self, timeouts: Timeouts) -> tuple[httpx2.Client, httpx2.AsyncClient]:
        """A synchronous client, and an asynchronous one that works on every event loop."""
        limits = httpx2.Timeout(timeouts.total, connect=timeouts.connect)
        at_once = httpx2.Limits(max_connections=self._connections)
        synchronous = httpx2.Client(verify=outward_context(), limits=at_once, timeout=limits)
        self._synchronous.append(synchronous)
        return synchronous, httpx2.AsyncClient(transport=self._transport, timeout=limits)

    async def close(self) -> None:
        for client in self._synchronous:
            await asyncio.to_thread(client.close)
        self._synchronous.clear()
        await self._transport.aclose()


async def _close(pool: httpx2.AsyncHTTPTransport) -> None:
    await pool.aclose()
