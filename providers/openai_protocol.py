"""Models of a server that speaks OpenAI's protocol, whoever runs it: one factory for all providers that need it."""

import threading
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import aiohttp
import orjson
from langchain_core.embeddings import Embeddings
from langchain_core.exceptions import ModelError

from core.errors import UnsupportedFeature
from core.settings import Timeouts
from providers.raw_texts import RawTexts, has_none
from providers.wire import Connections, Wire, limits_of

if TYPE_CHECKING:  # LangChain's package brings the SDK: 2 s and 20 MB that a machine without a call need not spend
    from providers.building import HTTPClients
    from providers.openai_sdk import SDKTransport
    from providers.openai_transport import DirectTransport

#: What servers answer that do not know a path, or the method on it.
_NO_ROUTE: Final = frozenset({404, 405, 501})


@dataclass(frozen=True)
class Endpoint:
    """A server and its credential, usable from every event loop.

    `compatible` is False for OpenAI itself alone. `transport` is `direct` (our own) or `sdk` (that of OpenAI's SDK).
    `stream_options`: whether streams are asked for their usage.
    """

    base_url: str
    api_key: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    compatible: bool = True
    connections: int = 100
    transport: Literal["direct", "sdk"] = "direct"
    stream_options: bool = True
    raw_texts: RawTexts = field(default_factory=RawTexts, repr=False, compare=False)
    _open: "_Open" = field(default_factory=lambda: _Open(), repr=False, compare=False)

    @property
    def wire(self) -> Wire:
        with self._open.lock:
            if self._open.wire is None:
                headers = {"authorization": f"Bearer {self.api_key}", **self.headers}
                self._open.wire = Wire(self.base_url, headers, connections=self.connections)
            return self._open.wire

    def use(self) -> Connections | None:
        """How its connections are used; None before the first."""
        return None if self._open.wire is None else self._open.wire.use()

    def chat(self, model: str, timeouts: Timeouts) -> "DirectTransport | SDKTransport":
        """A chat model that streams its usage and does not retry. Built at first use, which takes some 50 ms."""
        if (built := self._open.models.get((model, timeouts))) is not None:
            return built
        return self._open.models.setdefault((model, timeouts), self._build(model, timeouts))

    def _build(self, model: str, timeouts: Timeouts) -> "DirectTransport | SDKTransport":
        from providers import openai_sdk, openai_transport
        from providers.building import HTTPClients

        with self._open.lock:
            self._open.clients = self._open.clients or HTTPClients(self.connections)
            synchronous, asynchronous = self._open.clients.make(timeouts)
        options: dict[str, Any] = {
            "model": model,
            "base_url": self.base_url,
            "api_key": self.api_key,
            "default_headers": dict(self.headers) or None,
            "max_retries": 0,
            "timeout": timeouts.total,
            "stream_usage": self.stream_options,
            "stream_chunk_timeout": 0,
            "use_responses_api": False,
            "http_client": synchronous,
            "http_async_client": asynchronous,
        }
        if self.transport == "sdk":
            sdk = openai_sdk.CompatibleSDKChatOpenAI if self.compatible else openai_sdk.SDKChatOpenAI
            return sdk(**options)
        direct = openai_transport.CompatibleChatOpenAI if self.compatible else openai_transport.DirectChatOpenAI
        return direct(wire=self.wire, limits=limits_of(timeouts), **options)

    def embeddings(self, model: str, timeouts: Timeouts) -> Embeddings:
        """Asynchronous calls may be awaited on any event loop."""
        from providers.openai_embeddings import OpenAIProtocolEmbeddings

        return OpenAIProtocolEmbeddings(self, model, timeouts)

    async def completion(
        self, model: str, timeouts: Timeouts, prompt: str, parameters: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any]]:
        """The events of `/completions`, streamed; the last but one carries the usage.

        Raises:
            UnsupportedFeature: the server has none for this model, or had none lately.
            the errors that `chat` raises.
        """
        if self.raw_texts.known(model) is False:
            raise _no_raw_texts()
        chat = self.chat(model, timeouts)
        payload = {"model": model, "prompt": prompt, "stream": True, "stream_options": {"include_usage": True}, **parameters}
        told = False
        try:
            async with aclosing(chat.events("/completions", payload)) as events:
                async for event in events:
                    if not told:
                        self.raw_texts.completed(model)
                        told = True
                    yield event
        except ModelError as error:
            if told or not has_none(error):
                raise
            self.raw_texts.refused(model)
            raise _no_raw_texts() from error

    async def models(self, timeouts: Timeouts) -> list[str] | None:
        """The names of the models that the server has, in its order; None where it answers, and has no such list.

        Raises:
            ModelError: it cannot be reached, or refuses the key.
        """
        from langchain_core.exceptions import ModelConnectionError, ModelTimeoutError

        from providers.neutral import of_status
        from providers.waits import retry_after

        limits = aiohttp.ClientTimeout(total=timeouts.connect + 5, sock_connect=timeouts.connect)
        try:
            async with await self.wire.get("/models", limits) as response:
                body = await response.read()
        except TimeoutError as error:
            raise ModelTimeoutError("the server does not answer") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ModelConnectionError("the server cannot be reached") from error
        if response.status in _NO_ROUTE:
            return None
        if response.status >= 300:
            raise of_status(response.status, f"status {response.status}", retry_after(response.headers))
        try:
            return [str(entry["id"]) for entry in orjson.loads(body)["data"]]
        except (KeyError, TypeError, ValueError):
            return None

    async def close(self) -> None:
        wire, clients = self._open.wire, self._open.clients
        if wire is not None:
            await wire.close()
        if clients is not None:
            await clients.close()
        self._open.models.clear()
        self._open.clients = None


def _no_raw_texts() -> UnsupportedFeature:
    return UnsupportedFeature("The model does not continue raw texts.")


@dataclass
class _Open:
    """What an endpoint has built."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    wire: Wire | None = None
    clients: "HTTPClients | None" = None
    models: "dict[tuple[str, Timeouts], DirectTransport | SDKTransport]" = field(default_factory=dict)
