"""Models of a server that speaks OpenAI's protocol, whoever runs it: one factory for all providers that need it."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from langchain_core.embeddings import Embeddings

from core.per_loop import PerLoop
from core.settings import Timeouts

if TYPE_CHECKING:  # LangChain's package brings the SDK: 2 s and 20 MB that a machine without a call need not spend
    from providers.openai_transport import DirectChatOpenAI, Wire


@dataclass(frozen=True)
class Endpoint:
    """A server and its credential. Connection pools are kept per event loop.

    `compatible` is False for OpenAI itself alone.
    """

    base_url: str
    api_key: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    compatible: bool = True
    _wires: "PerLoop[Wire]" = field(default_factory=lambda: PerLoop(_close), repr=False, compare=False)
    _models: PerLoop[Any] = field(default_factory=PerLoop, repr=False, compare=False)

    def wire(self, timeouts: Timeouts) -> "Wire":
        """The connection pool of the running loop."""
        from providers.openai_transport import Wire

        return self._wires.get(
            (timeouts.connect, timeouts.total),
            lambda: Wire(
                self.base_url,
                {"authorization": f"Bearer {self.api_key}", **self.headers},
                connect_s=timeouts.connect,
                total_s=timeouts.total,
            ),
        )

    def chat(self, model: str, timeouts: Timeouts) -> "DirectChatOpenAI":
        """A chat model that streams its usage and does not retry."""
        from providers.openai_transport import CompatibleChatOpenAI, DirectChatOpenAI

        def make() -> DirectChatOpenAI:
            cls = CompatibleChatOpenAI if self.compatible else DirectChatOpenAI
            return cls(
                model=model,
                base_url=self.base_url,
                api_key=self.api_key,
                default_headers=dict(self.headers) or None,
                max_retries=0,
                timeout=timeouts.total,
                stream_usage=True,
                stream_chunk_timeout=0,
                wire=self.wire(timeouts),
            )

        built: DirectChatOpenAI = self._models.get(("chat", model, timeouts), make)
        return built

    def embeddings(self, model: str, timeouts: Timeouts) -> Embeddings:
        """Asynchronous calls belong to one event loop each: `aembed_…` may be awaited on any of them."""
        from providers.openai_embeddings import OpenAIProtocolEmbeddings

        return OpenAIProtocolEmbeddings(self, model, timeouts)

    async def completion(
        self, model: str, timeouts: Timeouts, prompt: str, parameters: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any]]:
        """The events of `/completions`, streamed; the last but one carries the usage.

        Raises:
            the errors that `chat` raises.
        """
        chat = self.chat(model, timeouts)
        payload = {"model": model, "prompt": prompt, "stream": True, "stream_options": {"include_usage": True}, **parameters}
        async with aclosing(chat.events("/completions", payload)) as events:
            async for event in events:
                yield event

    async def models(self, timeouts: Timeouts) -> list[str]:
        """The names of the models that the server has, in its order.

        Raises:
            OSError, ValueError: it cannot be reached, or gives no list of models.
        """
        timeout = aiohttp.ClientTimeout(total=timeouts.connect + 5)
        headers = {"authorization": f"Bearer {self.api_key}", **self.headers}
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{self.base_url}/models", headers=headers) as response,
        ):
            if response.status >= 400:
                raise ValueError(f"status {response.status}")
            listed = orjson.loads(await response.read())
        try:
            return [str(entry["id"]) for entry in listed["data"]]
        except (KeyError, TypeError) as error:
            raise ValueError("no list of models") from error

    async def close(self) -> None:
        await self._wires.close()


async def _close(wire: "Wire") -> None:
    await wire.close()
