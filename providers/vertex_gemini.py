"""`ChatVertexAI` with neutral errors, OpenAI's parameters, and asynchronous calls over REST.

The SDK's asynchronous client speaks gRPC alone, and its synchronous REST client would hold a thread for each answer. So
asynchronous calls keep the SDK's translation in both directions and are sent by aiohttp. Three private methods are relied on
(`_prepare_request_gemini`, `_gemini_response_to_chat_result`, `_gemini_chunk_to_generation_chunk`): a test compares every
field with the SDK's own synchronous path.
"""

import base64
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import aiohttp
import orjson
from aiohttp import ClientTimeout
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.exceptions import ModelConnectionError, ModelError, ModelTimeoutError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field

from core.errors import UnsupportedFeature
from providers.gemini_numbers import seed_of, with_whole_numbers
from providers.gemini_schema import as_the_sdk_has_it, in_geminis_form, tools_in_geminis_form
from providers.gemini_usage import GeminiRunning, complete, with_thoughts
from providers.google_access import GoogleAccess
from providers.histories import with_a_turn
from providers.neutral import MISREAD, NeutralChatModel, ProviderDown, of_status, refused, unreadable
from providers.reported import reporting
from providers.tiers import mark
from providers.waits import retry_after, wait_of
from providers.wire import Connections, Lines, Wire, body_of

#: ai.google.dev/api/generate-content#FinishReason, November 2026.
_REFUSALS = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "MODEL_ARMOR",
    }
)


#: Models that want each turn of calls signed, from Gemini 3 on.
_SIGNS = re.compile(r"gemini-(?:[3-9]|\d\d)(?!\d)")
#: Google's own mark for calls whose signature is not known, in base64 as the REST API has it.
#: cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures, November 2026.
_UNSIGNED = base64.urlsafe_b64decode("skip_thought_signature_validator")
_USAGE = {"usageMetadata", "usage_metadata"}
_NO_END = "FINISH_REASON_UNSPECIFIED"


class GeminiWire:
    """Vertex AI's REST API."""

    def __init__(self, access: GoogleAccess, connections: int) -> None:
        self._wire = Wire(access.endpoint, access.headers, connections=connections)

    @asynccontextmanager
    async def post(self, path: str, payload: Mapping[str, Any], limits: ClientTimeout) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send `payload`. Left early, the connection is closed, which cancels the provider's work.

        Raises:
            ModelError: the neutral error of any answer that is not a success, or of none.
        """
        try:
            async with await self._wire.post(f"/v1beta1/{path}", payload, limits) as response:
                if response.status >= 300:
                    raise _error_of(response.status, await body_of(response), response.headers)
                yield response
        except TimeoutError as error:
            raise ModelTimeoutError("Vertex AI did not answer in time.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ModelConnectionError(type(error).__name__) from error

    def use(self) -> Connections:
        return self._wire.use()

    async def close(self) -> None:
        await self._wire.close()


def _error_of(status: int, body: bytes, headers: Mapping[str, str]) -> Exception:
    """The neutral error of an answer in Google's form: `{"error": {"code", "message", "status", "details"}}`."""
    try:
        answer = orjson.loads(body)
        error = answer[0]["error"] if isinstance(answer, list) else answer["error"]
        details = error.get("details") or []
        message = f"{error.get('status', '')}: {error.get('message', '')}"
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        details, message = [], f"HTTP {status}"
    delays = (_seconds(detail["retryDelay"]) for detail in details if isinstance(detail, dict) and "retryDelay" in detail)
    asked = next((delay for delay in delays if delay is not None), None)
    return of_status(status, message, retry_after(headers) if asked is None else asked)


def _seconds(delay: object) -> float | None:
    """A duration in protobuf's JSON form, `"7s"`; None for what is none."""
    return wait_of(str(delay).removesuffix("s"))


def translate(error: Exception) -> Exception:
    """What Google's SDKs raise, as a neutral error."""
    import requests
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.protobuf.json_format import ParseError
    from langchain_core.exceptions import ModelAuthenticationError

    if isinstance(error, ModelError):
        return error
    if isinstance(error, GoogleAPICallError):
        response = getattr(error, "response", None)
        return of_status(int(error.code or 500), error.message or "", retry_after(getattr(response, "headers", None) or {}))
    if isinstance(error, requests.Timeout):
        return ModelTimeoutError("Vertex AI did not answer in time.")
    if isinstance(error, requests.RequestException | TransportError | RetryError) or "Unfinished stream" in str(error):
        return ModelConnectionError(type(error).__name__)
    if isinstance(error, ParseError):
        return ValueError("ParseError")  # of an answer, or of a request: `translating` finds out
    if isinstance(error, GoogleAuthError):
        return ModelAuthenticationError(str(error))
    return error


class DirectGemini(BaseChatModel):
    """The asynchronous calls. It stands before `ChatVertexAI` among the bases."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    wire: GeminiWire = Field(exclude=True, repr=False)
    limits: ClientTimeout = Field(exclude=True, repr=False)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model: Any = self
        path, payload = _request(model._prepare_request_gemini(messages, stop=stop, **kwargs))  # noqa: SLF001
        async with self.wire.post(f"{path}:generateContent", payload, self.limits) as response:
            body = await body_of(response)
        answer, said = _response(body)
        try:
            result: ChatResult = model._gemini_response_to_chat_result(answer)  # noqa: SLF001
        except MISREAD as error:
            raise unreadable() from error
        for generation in result.generations:
            complete(generation, said)
            mark(generation, said.get("trafficType"))
        return result

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        model: Any = self
        path, payload = _request(model._prepare_request_gemini(messages, stop=stop, **kwargs))  # noqa: SLF001
        running = GeminiRunning()
        async with self.wire.post(f"{path}:streamGenerateContent?alt=sse", payload, self.limits) as response:
            async for line in _lines(response.content):
                if line.startswith(b"data:"):
                    answer, running.said = _response(line[5:])
                    try:
                        chunk, _ = model._gemini_chunk_to_generation_chunk(answer, prev_total_usage=running)  # noqa: SLF001
                    except MISREAD as error:
                        raise unreadable() from error
                    mark(chunk, running.said.get("trafficType"))
                    yield chunk


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    lines = Lines()
    async for block in content.iter_any():
        for line in lines.of(block):
            yield line
    if rest := lines.rest():
        yield rest


def _request(message: Any) -> tuple[str, dict[str, Any]]:
    """The model's path and the body of a request."""
    from google.protobuf.json_format import MessageToDict

    payload: dict[str, Any] = MessageToDict(type(message).pb(message))
    return payload.pop("model"), payload


def _response(body: bytes) -> tuple[Any, dict[str, Any]]:
    """One answer or chunk, and what it says that was used, as it came: the SDK does not know all of that.

    Raises:
        ModelConnectionError: it cannot be read.
        ModelError: it is an error event.
    """
    from google.cloud.aiplatform_v1beta1.types import GenerateContentResponse
    from google.protobuf.json_format import ParseDict, ParseError

    try:
        answer = orjson.loads(body)
        if "error" in answer:
            raise _error_of(int(answer["error"].get("code", 500)), body, {})
        _of_known_ends(answer)
        _of_readable_usage(answer)
        response = GenerateContentResponse()
        ParseDict(answer, GenerateContentResponse.pb(response), ignore_unknown_fields=True)
    except (ParseError, *MISREAD) as error:
        raise unreadable() from error
    said = answer.get("usageMetadata")
    return response, said if isinstance(said, dict) else {}


def _of_known_ends(answer: dict[str, Any]) -> None:
    """Name a reason for the end that this version of the SDK does not know by one that it does: it would read as if there were
    none."""
    from google.cloud.aiplatform_v1beta1.types import Candidate

    for candidate in answer.get("candidates") or ():
        reason = candidate.get("finishReason", _NO_END)
        if reason not in Candidate.FinishReason.__members__:
            candidate["finishReason"] = "PROHIBITED_CONTENT" if reason in _REFUSALS else "OTHER"


def _of_readable_usage(answer: dict[str, Any]) -> None:
    """Replace usage that cannot be read by one that cannot be true, so that it is counted here as if none were told: the answer
    is as good, and what its other chunks tell is not all of it."""
    from google.cloud.aiplatform_v1beta1.types import GenerateContentResponse
    from google.protobuf.json_format import ParseDict, ParseError

    read = GenerateContentResponse.pb(GenerateContentResponse())
    for name in _USAGE & answer.keys():
        try:
            answer[name] = dict(answer[name])  # of a text it would take each letter for an unknown field
            ParseDict({name: answer[name]}, read, ignore_unknown_fields=True)
        except (ParseError, *MISREAD):
            answer[name] = {"promptTokenCount": -1}


class GeminiTranslation(NeutralChatModel):
    """Gemini's errors, refusals and parameters."""

    def translated(self, error: Exception) -> Exception:
        return translate(error)

    def ended(self, generation: ChatGeneration) -> str | None:
        return (generation.generation_info or {}).get("finish_reason")

    def refusals(self) -> Collection[str]:
        return _REFUSALS

    def prepared(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> object:
        model: Any = self
        try:
            return model._prepare_request_gemini(messages, stop=stop, **self.arguments(kwargs))  # noqa: SLF001
        except Exception as error:
            raise translate(error) from error

    def arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        given = dict(kwargs)
        if "max_tokens" in given:
            given["max_output_tokens"] = given.pop("max_tokens")
        if given.get("tool_choice") == "required":
            given["tool_choice"] = "any"
        if "seed" in given:
            given["seed"] = seed_of(given["seed"])
        if given.get("tools"):
            given["tools"] = tools_in_geminis_form(given["tools"])
        form = given.pop("response_format", None) or {"type": "text"}
        if form["type"] == "json_object":
            given["response_mime_type"] = "application/json"
        elif form["type"] == "json_schema":
            schema = in_geminis_form(form["json_schema"]["schema"], "response_format")
            given |= {"response_mime_type": "application/json", "response_schema": as_the_sdk_has_it(schema)}
        elif form["type"] != "text":
            raise UnsupportedFeature(f"Gemini has no response format {form['type']!r}.", param="response_format")
        return given

    def _prepare_request_gemini(self, messages: list[BaseMessage], *more: Any, **kwargs: Any) -> Any:
        base: Any = super()
        told = [_in_one_text(message) for message in with_a_turn(messages)]
        request = base._prepare_request_gemini(told, *more, **kwargs)  # noqa: SLF001
        if _SIGNS.search(request.model):
            for content in request.contents:
                _sign(content)
        return request

    def _gemini_response_to_chat_result(self, response: Any) -> ChatResult:
        result: ChatResult = super()._gemini_response_to_chat_result(response)  # type: ignore[misc]
        for generation in result.generations:
            _of_no_end(generation)
            with_whole_numbers(generation)
            with_thoughts(generation)
        with reporting(lambda: result.generations[0]):
            _not_blocked(response)
            if not response.candidates:
                raise ProviderDown("Vertex AI gave no candidate.")
        return result

    def _gemini_chunk_to_generation_chunk(self, response_chunk: Any, prev_total_usage: Any = None) -> Any:
        """Not every chunk tells what was used so far; LangChain would count all of it again after one that does not. So what
        stands for the last total is the running one of the stream."""
        running = prev_total_usage or GeminiRunning()
        chunk, _ = super()._gemini_chunk_to_generation_chunk(response_chunk, None)  # type: ignore[misc]
        _of_no_end(chunk)
        with_whole_numbers(chunk)
        with_thoughts(chunk)
        complete(chunk, running.said)
        running.of(chunk)
        with reporting(lambda: chunk):
            _not_blocked(response_chunk)
        return chunk, running


def _sign(content: Any) -> None:
    """Mark a turn's calls as ones of which no signature is known, where they carry none: such models refuse the turn without.
    What the API gives with a call does not come back from callers of OpenAI's form, nor with calls of another model."""
    calls = [part for part in content.parts if part.function_call.name]
    if calls and not any(part.thought_signature for part in calls):
        calls[0].thought_signature = _UNSIGNED


def _in_one_text(message: BaseMessage) -> BaseMessage:
    """A tool's result that comes in several texts, as one: LangChain's translation would take them for one mapping."""
    content = message.content
    if not isinstance(message, ToolMessage) or not isinstance(content, list):
        return message
    if not all(isinstance(block, str) or block.get("type") == "text" for block in content):
        return message
    return message.model_copy(update={"content": message.text})


def _of_no_end(generation: ChatGeneration) -> None:
    """Take away the enumeration's zero, which LangChain gives each chunk as its reason for the end: it says that there is none,
    and who goes by the reason would take the first chunk for the last."""
    if (info := generation.generation_info) and info.get("finish_reason") == _NO_END:
        del info["finish_reason"]


def _not_blocked(response: Any) -> None:
    """Raises `ContentRefused` with Google's category for a blocked prompt: LangChain would make an empty answer of it."""
    if response.prompt_feedback.block_reason:
        raise refused([response.prompt_feedback.block_reason.name])


@cache
def gemini_class() -> Callable[..., BaseChatModel]:
    """The chat model's class, made when the SDK is first needed: its import takes some 10 s."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces its successor; it is the requested package
        from langchain_google_vertexai import ChatVertexAI

        class GeminiChat(GeminiTranslation, DirectGemini, ChatVertexAI):  # type: ignore[misc] # it adds a parameter `stream`
            """Gemini with neutral errors."""

    return GeminiChat
