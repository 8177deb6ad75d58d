"""Our own way over the wire for everything that speaks OpenAI's chat protocol.

The SDK's request path costs 1.3 ms of CPU a call, three times what is left of LangChain around it. `DirectTransport` keeps
langchain-openai's translation in both directions and sends over a `Wire`. Only the Responses API and headers in the answer,
which this platform does not use, still go through the SDK. Synchronous calls wait for the asynchronous ones.

Private methods of langchain-openai are relied on (`_get_request_payload`, `_create_chat_result`,
`_convert_chunk_to_generation_chunk`): a contract test compares every field with the SDK's own path.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from typing import Any, ClassVar

import aiohttp
import httpx2
import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import ConfigDict, Field

from core.bridge import call, iterate
from providers.neutral import MISREAD, unfinished, unreadable
from providers.openai_answers import complete, each_its_own, not_withheld, withheld
from providers.openai_chunks import Chunks
from providers.openai_errors import neutral, unless_error
from providers.openai_events import Events, begins_json, parse, whole_as_events
from providers.openai_model import AsWritten, OfOthers
from providers.openai_schema import Parsed, parsed_answer, wire_format
from providers.reported import reporting
from providers.usage import Running
from providers.wire import Wire, body_of

#: Seconds that the end of a stream's frame may come after `[DONE]`. A provider sends both at once; a new connection costs more.
FRAME_END_S = 0.05


class DirectTransport(AsWritten):
    """A mixin: it stands before `ChatOpenAI` or `AzureChatOpenAI` among the bases.

    With `n` above 1 a streamed chunk names its choice in `generation_info`.
    """

    #: `_astream` takes `merged`.
    merges: ClassVar[bool] = True

    model_config = ConfigDict(arbitrary_types_allowed=True)

    wire: Wire = Field(exclude=True, repr=False)
    limits: aiohttp.ClientTimeout = Field(exclude=True, repr=False)

    def prepared(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The request as it is sent, from a caller's parameters."""
        payload: dict[str, Any] = self._get_request_payload(messages, stop=stop, **kwargs)
        return payload

    def neutral(self, error: Exception) -> Exception:
        """The neutral error of one that `events` raises, which are neutral already."""
        return error

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        payload = self._get_request_payload(messages, stop=stop, **kwargs)
        if self._through_the_sdk(payload):
            return await super()._agenerate(messages, stop, run_manager, **kwargs)
        form = payload.get("response_format")
        if isinstance(form, type):
            payload["stream"] = False  # as the SDK's `parse` sends it
            answer = await self.post(self.path, payload | {"response_format": wire_format(form)})
        else:
            answer = await self.post(self.path, payload)
        with reporting(lambda: self.used(answer)):
            return self._result(answer, form, payload.get("tools"))

    def _result(self, answer: dict[str, Any], form: Any, tools: Any) -> ChatResult:
        """The result of a whole answer to a request for a `form`.

        Raises:
            ContentRefused: it was withheld.
            ModelConnectionError: it cannot be read, or was cut.
        """
        with _reading():
            if isinstance(form, type):
                result = self._create_chat_result(parsed_answer(answer, form, tools))
            else:
                answer = complete(answer)
                result = each_its_own(self._create_chat_result(answer), answer)
        for generation in result.generations:
            not_withheld(generation, [answer])
            if not (generation.generation_info or {}).get("finish_reason") and not self.ends_unnamed(generation):
                raise unfinished()
        if not result.generations:
            raise unfinished()
        return result

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        stream_usage: bool | None = None,
        merged: bool = False,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        """With `merged`, pieces of text that arrive together come in one chunk: for a caller who only gathers them."""
        if self._through_the_sdk(self._default_params | kwargs):
            async for each in super()._astream(messages, stop, run_manager, stream_usage=stream_usage, **kwargs):
                yield each
            return
        kwargs["stream"] = True
        if self._should_stream_usage(stream_usage, **kwargs):
            kwargs["stream_options"] = {"include_usage": True}
        payload = self._get_request_payload(messages, stop=stop, **kwargs)
        parsed = None
        if (form := payload.get("response_format")) is not None:
            payload["response_format"] = wire_format(form)
            parsed = Parsed(form, payload.get("tools")) if isinstance(form, type) else None
        chunks, running, refused = Chunks(self), Running(), None
        with _reading():
            async with aclosing(self._blocks(self.path, payload)) as blocks:
                async for events in blocks:
                    if parsed is not None:
                        parsed.add(events)
                        events = [event | {"usage": None} for event in events]
                    for chunk in chunks.merged(events) if merged else filter(None, map(chunks.convert, events)):
                        if chunk.generation_info:
                            refused = refused or withheld(chunk, events)
                        if run_manager:
                            logprobs = (chunk.generation_info or {}).get("logprobs")
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk, logprobs=logprobs)
                        yield running.of(chunk)
            if refused is not None:  # what it has used was told after its end
                raise refused
            if parsed is not None:
                yield self._get_generation_chunk_from_completion(parsed.whole())

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return call(self._agenerate(messages, stop, None, **kwargs), None)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in iterate(lambda: self._astream(messages, stop, None, **kwargs), None):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def post(self, path: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that answers `payload`. Errors are those of `ainvoke`."""
        try:
            async with await self.wire.post(path, payload, self.limits) as response:
                body = await body_of(response)
                if response.status >= 300:
                    error = self._status_error(response, body)
                    self._less({}, error, [])
                    raise error
                return unless_error(parse(body))
        except (aiohttp.ClientError, OSError, openai.APIError) as error:
            raise neutral(error) from error

    async def events(self, path: str, payload: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The JSON objects of the stream that answers `payload`. Errors are those of `astream`."""
        async with aclosing(self._blocks(path, payload)) as blocks:
            async for events in blocks:
                for event in events:
                    yield event

    async def _blocks(self, path: str, payload: Mapping[str, Any]) -> AsyncGenerator[list[dict[str, Any]]]:
        """As `events`, those together that arrived together. Of the platform's own fields the server is sent what it takes."""
        sent, refused = self._fitted(payload), list[tuple[str, Any]]()
        try:
            while True:
                async with await self.wire.post(path, sent, self.limits) as response:
                    if response.status >= 300:
                        error = self._status_error(response, await body_of(response))
                        if (less := self._less(sent, error, refused)) is None:
                            raise error
                        sent = less
                        continue
                    self._learn(refused, sent)
                    async with aclosing(self._read(response, whole="stream" not in sent)) as blocks:
                        async for events in blocks:
                            yield events
                    return
        except (aiohttp.ClientError, OSError, openai.APIError) as error:
            raise neutral(error) from error

    async def _read(self, response: aiohttp.ClientResponse, *, whole: bool) -> AsyncGenerator[list[dict[str, Any]]]:
        """The events of an answer; of one that is `whole`, or is JSON although a stream was asked for, all in one."""
        stream = Events()
        if whole:
            yield whole_as_events(parse(await body_of(response)), ends_unnamed=not self.names_ends)
            return
        begins = True
        async for block in response.content.iter_any():
            if begins and begins_json(block):
                answer = parse(block + await body_of(response))
                yield whole_as_events(answer, ends_unnamed=not self.names_ends)
                return
            begins = False
            if events := stream.of(block):
                yield events
            if stream.error is not None:
                raise stream.error
            if stream.ended:
                await _read_out(response)
                return
        raise aiohttp.ClientPayloadError("the stream ended without its final marker")

    def _status_error(self, response: aiohttp.ClientResponse, body: bytes) -> openai.APIStatusError:
        """The error that the SDK would make of this answer."""
        request = httpx2.Request("POST", str(response.url.with_query(None)))
        answer = httpx2.Response(response.status, headers=dict(response.headers), content=body, request=request)
        client: openai.AsyncOpenAI = self.root_async_client
        return client._make_status_error_from_response(answer)  # noqa: SLF001 - the SDK has no public way


class DirectChatOpenAI(DirectTransport, ChatOpenAI):
    """OpenAI over our own transport."""


class CompatibleChatOpenAI(OfOthers, DirectTransport, ChatOpenAI):
    """Other servers over our own transport."""


@contextmanager
def _reading() -> Iterator[None]:
    """What goes wrong within is the answer's, which has not the form of the protocol."""
    try:
        yield
    except MISREAD as error:
        raise unreadable() from error


async def _read_out(response: aiohttp.ClientResponse) -> None:
    """Wait a moment for the end of the answer's frame, which may come behind its final marker: only then is the connection used
    again."""
    if not response.content.at_eof():
        with suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(FRAME_END_S):
                await response.content.read()
