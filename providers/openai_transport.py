"""Our own way over the wire for everything that speaks OpenAI's chat protocol.

The SDK's request path costs 1.3 ms of CPU a call, three times what is left of LangChain around it. `DirectChatOpenAI` keeps
langchain-openai's translation in both directions and sends with one shared aiohttp session and orjson. What the SDK
does besides sending (structured output parsed into a class, the Responses API, headers in the answer) still goes through it.

Three private methods of langchain-openai are relied on (`_get_request_payload`, `_create_chat_result`,
`_convert_chunk_to_generation_chunk`): a contract test compares every field with the SDK's own path.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx2
import openai
import orjson
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessageChunk, BaseMessage, BaseMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import _handle_openai_api_error, _handle_openai_bad_request
from openai.types.chat.chat_completion import ChatCompletion, Choice
from openai.types.completion_usage import CompletionTokensDetails, CompletionUsage, PromptTokensDetails
from pydantic import ConfigDict, Field

_ANSWER_FIELDS = dict.fromkeys(ChatCompletion.model_fields)
_CHOICE_FIELDS = dict.fromkeys(Choice.model_fields)
_USAGE_FIELDS = dict.fromkeys(CompletionUsage.model_fields)
_DETAILS_FIELDS = {
    "prompt_tokens_details": dict.fromkeys(PromptTokensDetails.model_fields),
    "completion_tokens_details": dict.fromkeys(CompletionTokensDetails.model_fields),
}
_THROUGH_THE_SDK = ("response_format",)


@dataclass(slots=True)
class Wire:
    """A connection pool to one server. Belongs to the event loop that first uses it.

    `connect_s` bounds opening a connection and `total_s` the whole exchange; the limits on the first token and between
    tokens are the failover's.
    """

    base_url: str
    headers: dict[str, str]
    connect_s: float
    total_s: float
    connections: int = 100
    _session: aiohttp.ClientSession | None = field(default=None, repr=False)

    def post(self, path: str, payload: dict[str, Any]) -> "aiohttp.client._RequestContextManager":
        """Send `payload` as JSON. Left early, the context manager closes the connection, which cancels the provider's work."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self.total_s, sock_connect=self.connect_s)
            connector = aiohttp.TCPConnector(limit=self.connections)
            headers = self.headers | {"content-type": "application/json"}
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers)
        return self._session.post(f"{self.base_url}{path}", data=orjson.dumps(payload))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


class DirectChatOpenAI(ChatOpenAI):
    """`ChatOpenAI` whose asynchronous calls go over a `Wire`. Synchronous ones stay the SDK's."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    wire: Wire = Field(exclude=True, repr=False)

    def _is_plain(self, payload: dict[str, Any]) -> bool:
        special = self.include_response_headers or self._use_responses_api(payload)
        return not special and not any(name in payload for name in _THROUGH_THE_SDK)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        payload = self._get_request_payload(messages, stop=stop, **kwargs)
        if not self._is_plain(payload):
            return await super()._agenerate(messages, stop, run_manager, **kwargs)
        answer = _complete(await self.post("/chat/completions", payload))
        result = self._create_chat_result(answer)
        for generation, choice in zip(result.generations, answer["choices"], strict=True):
            generation.message.additional_kwargs["refusal"] = choice["message"].get("refusal")
        return result

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        stream_usage: bool | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        if not self._is_plain(_without_schema(self._default_params | kwargs)):
            async for each in super()._astream(messages, stop, run_manager, stream_usage=stream_usage, **kwargs):
                yield each
            return
        kwargs["stream"] = True
        if self._should_stream_usage(stream_usage, **kwargs):
            kwargs["stream_options"] = {"include_usage": True}
        payload = self._get_request_payload(messages, stop=stop, **kwargs)
        kind: type[BaseMessageChunk] = AIMessageChunk
        async with aclosing(self.events("/chat/completions", payload)) as events:
            async for event in events:
                chunk = self._convert_chunk_to_generation_chunk(event, kind, {})
                if chunk is None:
                    continue
                kind = type(chunk.message)
                if run_manager:
                    logprobs = (chunk.generation_info or {}).get("logprobs")
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk, logprobs=logprobs)
                yield chunk

    async def post(self, path: str, payload: dict[str, Any]) -> dict[str, Any]:
        """The JSON object that answers `payload`. Errors are those of `ainvoke`."""
        try:
            async with self.wire.post(path, payload) as response:
                body = await response.read()
                if response.status >= 400:
                    raise self._status_error(response, body)
                return _parse(body)
        except (aiohttp.ClientError, TimeoutError, openai.APIError) as error:
            raise self._neutral(error) from error

    async def events(self, path: str, payload: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The JSON objects of the stream that answers `payload`. Errors are those of `astream`."""
        try:
            async with self.wire.post(path, payload) as response:
                if response.status >= 400:
                    raise self._status_error(response, await response.read())
                async for event in _events(response.content):
                    self._raise_for_error_event(event)
                    yield event
        except (aiohttp.ClientError, TimeoutError, openai.APIError) as error:
            raise self._neutral(error) from error

    def _request(self) -> httpx2.Request:
        return httpx2.Request("POST", f"{self.wire.base_url}/chat/completions")

    def _raise_for_error_event(self, event: dict[str, Any]) -> None:
        if error := event.get("error"):
            raise openai.APIError(_reason(error), request=self._request(), body=error)

    def _status_error(self, response: aiohttp.ClientResponse, body: bytes) -> openai.APIStatusError:
        """The error that the SDK would make of this answer."""
        answer = httpx2.Response(response.status, headers=dict(response.headers), content=body, request=self._request())
        client: openai.AsyncOpenAI = self.root_async_client
        return client._make_status_error_from_response(answer)  # noqa: SLF001 - the SDK has no public way

    def _neutral(self, error: Exception) -> Exception:
        """The error of langchain-core's neutral tree that langchain-openai would raise."""
        if isinstance(error, TimeoutError):
            error = openai.APITimeoutError(request=self._request())
        elif isinstance(error, aiohttp.ClientError):
            error = openai.APIConnectionError(message="Connection error.", request=self._request())
        try:
            if isinstance(error, openai.BadRequestError):
                _handle_openai_bad_request(error)
            elif isinstance(error, openai.APIError):
                try:
                    raise error
                except openai.APIError as raised:
                    _handle_openai_api_error(raised)
        except Exception as neutral:  # noqa: BLE001 - caught to be returned
            return neutral
        return error


class CompatibleChatOpenAI(DirectChatOpenAI):
    """For servers other than OpenAI's, which know `max_tokens` and may not know its successor `max_completion_tokens`."""

    def _get_request_payload(self, input_: Any, *, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if "max_completion_tokens" in payload:
            payload["max_tokens"] = payload.pop("max_completion_tokens")
        return payload


def _without_schema(parameters: dict[str, Any]) -> dict[str, Any]:
    """Without a response format that is plain JSON: there is no class for the SDK to parse a stream into."""
    if isinstance(parameters.get("response_format"), dict):
        return {name: value for name, value in parameters.items() if name != "response_format"}
    return parameters


def _parse(body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise aiohttp.ClientPayloadError("the answer is not JSON") from error
    if not isinstance(answer, dict):
        raise aiohttp.ClientPayloadError("the answer is not a JSON object")
    return answer


def _complete(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with the fields that the SDK's types add, so that LangChain makes the same of it."""
    if not isinstance(answer.get("choices"), list):
        return answer
    choices = [_CHOICE_FIELDS | choice for choice in answer["choices"]]
    usage = answer.get("usage")
    if usage:
        details = {name: fields | usage[name] for name, fields in _DETAILS_FIELDS.items() if usage.get(name)}
        usage = _USAGE_FIELDS | usage | details
    return _ANSWER_FIELDS | answer | {"choices": choices, "usage": usage}


def _reason(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) and message else "An error occurred during streaming"


async def _events(content: aiohttp.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """The JSON objects of a server-sent event stream, up to `[DONE]`.

    Raises:
        aiohttp.ClientPayloadError: an event is not JSON, or the stream ended without its final marker.
    """
    buffer = b""
    async for block in content.iter_any():
        *lines, buffer = (buffer + block).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data.startswith(b"[DONE]"):
                return
            yield _parse(data)
    raise aiohttp.ClientPayloadError("the stream ended without its final marker")
