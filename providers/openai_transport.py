"""Our own way over the wire for everything that speaks OpenAI's chat protocol.

The SDK's request path costs 1.3 ms of CPU a call, three times what is left of LangChain around it. `DirectTransport` keeps
langchain-openai's translation in both directions and sends over a `Wire`. Only the Responses API and headers in the answer,
which this platform does not use, still go through the SDK. Synchronous calls wait for the asynchronous ones.

Private methods of langchain-openai are relied on (`_get_request_payload`, `_create_chat_result`,
`_convert_chunk_to_generation_chunk`): a contract test compares every field with the SDK's own path. `SDKTransport` is that
path with the same errors and the same two methods, for an operator who wants it back (`transport = "sdk"`).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from typing import Any, ClassVar, cast

import aiohttp
import httpx2
import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.exceptions import ModelError
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import BaseChatOpenAI, _handle_openai_api_error, _handle_openai_bad_request
from pydantic import ConfigDict, Field

from core.bridge import call, iterate
from providers.collecting import THINKS, thinks
from providers.neutral import MISREAD, NeutralChatModel, of_event, of_status, retry_after, unfinished, unreadable
from providers.openai_answers import WITHHELD, complete, each_its_own, not_withheld, with_readable_usage
from providers.openai_chunks import Chunks
from providers.openai_events import REQUEST, Events, parse
from providers.openai_schema import Parsed, parsed_answer, wire_format
from providers.usage import AddingUp, Running, readable
from providers.wire import Wire, body_of

#: Statuses below 500 for which langchain-openai has an error of the neutral tree.
_OF_LANGCHAIN = frozenset({400, 401, 403, 404, 408, 429})
#: Seconds that the end of a stream's frame may come after `[DONE]`. A provider sends both at once; a new connection costs more.
FRAME_END_S = 0.05


class AsWritten(AddingUp, BaseChatOpenAI):
    """What both transports have. Sends earlier tool calls on as the model wrote them, where a message has that: put together
    again from parsed arguments they would be another prompt, which no provider's cache knows, and cut ones would be lost. Marks
    chunks of reasoning, of which LangChain tells nothing. `path` takes chat completions."""

    path: str = Field("/chat/completions", exclude=True)

    def ends_unnamed(self, generation: ChatGeneration) -> bool:
        """Whether an answer that came in one piece is whole although it names no reason for its end. OpenAI's always do."""
        return False

    def _through_the_sdk(self, payload: dict[str, Any]) -> bool:
        return bool(self.include_response_headers) or self._use_responses_api(payload)

    def _get_request_payload(self, input_: Any, *, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if isinstance(input_, list) and "messages" in payload:
            for message, sent in zip(input_, payload["messages"], strict=False):
                calls = message.additional_kwargs.get("tool_calls") if isinstance(message, AIMessage) else None
                if calls and sent.get("tool_calls"):
                    sent["tool_calls"] = calls
        return payload

    def _convert_chunk_to_generation_chunk(self, chunk: dict[str, Any], *more: Any) -> ChatGenerationChunk | None:
        if usage := chunk.get("usage"):
            chunk = chunk | {"usage": readable(usage)}
        converted: ChatGenerationChunk | None = super()._convert_chunk_to_generation_chunk(chunk, *more)
        if converted is not None and thinks(chunk):
            converted.generation_info = {**(converted.generation_info or {}), THINKS: True}
        return converted

    def _create_chat_result(self, response: Any, generation_info: dict[str, Any] | None = None) -> ChatResult:
        return super()._create_chat_result(with_readable_usage(response), generation_info)


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
        if not isinstance(form, type):
            answer = await self.post(self.path, payload)
            try:
                answer = complete(answer)
                result = each_its_own(self._create_chat_result(answer), answer)
            except MISREAD as error:
                raise unreadable() from error
        else:
            payload["stream"] = False  # as the SDK's `parse` sends it
            answer = await self.post(self.path, payload | {"response_format": wire_format(form)})
            with _reading():
                result = self._create_chat_result(parsed_answer(answer, form, payload.get("tools")))
        for generation in result.generations:
            not_withheld(generation, [answer])
            if not (generation.generation_info or {}).get("finish_reason") and not self.ends_unnamed(generation):
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
        chunks, running = Chunks(self), Running()
        with _reading():
            async with aclosing(self._blocks(self.path, payload)) as blocks:
                async for events in blocks:
                    if parsed is not None:
                        parsed.add(events)
                        events = [event | {"usage": None} for event in events]
                    for chunk in chunks.merged(events) if merged else filter(None, map(chunks.convert, events)):
                        if chunk.generation_info:
                            not_withheld(chunk, events)
                        if run_manager:
                            logprobs = (chunk.generation_info or {}).get("logprobs")
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk, logprobs=logprobs)
                        yield running.of(chunk)
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
                    raise self._status_error(response, body)
                return parse(body)
        except (aiohttp.ClientError, OSError, openai.APIError) as error:
            raise neutral(error) from error

    async def events(self, path: str, payload: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The JSON objects of the stream that answers `payload`. Errors are those of `astream`."""
        async with aclosing(self._blocks(path, payload)) as blocks:
            async for events in blocks:
                for event in events:
                    yield event

    async def _blocks(self, path: str, payload: Mapping[str, Any]) -> AsyncGenerator[list[dict[str, Any]]]:
        """As `events`, those together that arrived together."""
        stream = Events()
        try:
            async with await self.wire.post(path, payload, self.limits) as response:
                if response.status >= 300:
                    raise self._status_error(response, await body_of(response))
                async for block in response.content.iter_any():
                    if events := stream.of(block):
                        yield events
                    if stream.error is not None:
                        raise stream.error
                    if stream.ended:
                        await _read_out(response)
                        return
                raise aiohttp.ClientPayloadError("the stream ended without its final marker")
        except (aiohttp.ClientError, OSError, openai.APIError) as error:
            raise neutral(error) from error

    def _status_error(self, response: aiohttp.ClientResponse, body: bytes) -> openai.APIStatusError:
        """The error that the SDK would make of this answer."""
        request = httpx2.Request("POST", str(response.url.with_query(None)))
        answer = httpx2.Response(response.status, headers=dict(response.headers), content=body, request=request)
        client: openai.AsyncOpenAI = self.root_async_client
        return client._make_status_error_from_response(answer)  # noqa: SLF001 - the SDK has no public way


class SDKTransport(NeutralChatModel, AsWritten):
    """A mixin as `DirectTransport` is, over the SDK's own connections. A stream's end is known by its finish reason.

    The SDK parses answers in a given form, and refuses some with tools; only where the form is a class that is wanted.
    """

    def _get_request_payload(self, input_: Any, *, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if isinstance(payload.get("response_format"), dict):
            payload["extra_body"] = {**(payload.get("extra_body") or {}), "response_format": payload.pop("response_format")}
        return payload

    def translated(self, error: Exception) -> Exception:
        return neutral(error)

    def ended(self, generation: ChatGeneration) -> str | None:
        return (generation.generation_info or {}).get("finish_reason")

    def refusals(self) -> Collection[str]:
        return (WITHHELD,)

    def prepared(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> object:
        return self._get_request_payload(messages, stop=stop, **kwargs)

    def admit(self, messages: list[BaseMessage]) -> None:
        """Images by address are the provider's to fetch."""

    async def post(self, path: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that answers `payload`. Errors are those of `ainvoke`."""
        client: openai.AsyncOpenAI = self.root_async_client
        try:
            answer: Any = await client.post(path, body=dict(payload), cast_to=object)
        except Exception as error:
            raise self.translated(error) from error
        if not isinstance(answer, dict):
            raise unreadable()
        return answer

    async def events(self, path: str, payload: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The JSON objects of the stream that answers `payload`. Errors are those of `astream`."""
        client: openai.AsyncOpenAI = self.root_async_client
        try:
            stream: Any = await client.post(
                path, body=dict(payload), cast_to=object, stream=True, stream_cls=openai.AsyncStream[object]
            )
            async with stream:
                async for event in stream:
                    yield event
        except Exception as error:
            raise self.translated(error) from error


class _OfOthers(BaseChatOpenAI):
    """For servers other than OpenAI's, which know `max_tokens` and may not know its successor `max_completion_tokens`. Some may
    leave out the reason for the end: Ollama, vLLM and OpenRouter declare it optional (November 2026)."""

    def ends_unnamed(self, generation: ChatGeneration) -> bool:
        message: Any = generation.message
        return bool(message.content or message.tool_calls or message.invalid_tool_calls)

    def _get_request_payload(self, input_: Any, *, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if "max_completion_tokens" in payload:
            payload["max_tokens"] = payload.pop("max_completion_tokens")
        return payload


class DirectChatOpenAI(DirectTransport, ChatOpenAI):
    """OpenAI over our own transport."""


class CompatibleChatOpenAI(_OfOthers, DirectTransport, ChatOpenAI):
    """Other servers over our own transport."""


class SDKChatOpenAI(SDKTransport, ChatOpenAI):
    """OpenAI over the SDK's transport."""


class CompatibleSDKChatOpenAI(_OfOthers, SDKTransport, ChatOpenAI):
    """Other servers over the SDK's transport."""


@contextmanager
def _reading() -> Iterator[None]:
    """What goes wrong within is the answer's, which has not the form of the protocol."""
    try:
        yield
    except MISREAD as error:
        raise unreadable() from error


def neutral(error: Exception) -> Exception:
    """The error of langchain-core's neutral tree that langchain-openai would raise; the same where it is none of the wire's."""
    if isinstance(error, ModelError):
        return error
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        error = openai.APITimeoutError(request=REQUEST)
    elif isinstance(error, aiohttp.ClientError | OSError | httpx2.HTTPError) or "JSONDecodeError" in type(error).__name__:
        error = openai.APIConnectionError(message="Connection error.", request=REQUEST)
    if isinstance(error, openai.APIError) and not isinstance(error, openai.APIStatusError | openai.APIConnectionError):
        return _within_a_stream(error)
    if isinstance(error, openai.APIStatusError) and error.status_code not in _OF_LANGCHAIN and error.status_code < 500:
        return of_status(error.status_code, str(error.message), retry_after(error.response.headers))
    try:
        if isinstance(error, openai.BadRequestError):
            _handle_openai_bad_request(error)
        elif isinstance(error, openai.APIError):
            try:
                raise error
            except openai.APIError as raised:
                _handle_openai_api_error(raised)
    except MISREAD:  # of the error's body
        return of_status(getattr(error, "status_code", 500), "")
    except Exception as found:  # noqa: BLE001 - caught to be returned
        return found
    return error


def _within_a_stream(error: openai.APIError) -> Exception:
    """The neutral error of an error event, which has no status: langchain-openai passes it on as the SDK's."""
    made: Any = of_event(error.code, error.message)
    made.body = error.body  # as the SDK's errors have it
    return cast("Exception", made)


async def _read_out(response: aiohttp.ClientResponse) -> None:
    """Wait a moment for the end of the answer's frame, which may come behind its final marker: only then is the connection used
    again."""
    if not response.content.at_eof():
        with suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(FRAME_END_S):
                await response.content.read()
