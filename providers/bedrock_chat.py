"""`ChatBedrockConverse` with neutral errors, OpenAI's parameters, and threads of its own for boto3, which is blocking."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.exceptions import (
    ModelAuthenticationError,
    ModelConnectionError,
    ModelNotFoundError,
    ModelTimeoutError,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field

from core.errors import UnsupportedFeature
from providers.bedrock_calls import Call
from providers.claude_sampling import is_claude, sampled
from providers.histories import CLAUDES_IMAGES, images_of
from providers.neutral import MISREAD, Declined, NeutralChatModel, not_configured, of_status, refused, unreadable
from providers.tiers import mark
from providers.waits import retry_after

#: Codes of the API's errors, lower case, as statuses where the answer carries none of its own (an event of a stream)
#: or one that misleads. docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html, November 2026.
_STATUS = {
    "accessdeniedexception": 403,
    "expiredtokenexception": 401,
    "incompletesignatureexception": 401,
    "internalserverexception": 500,
    "invalidsignatureexception": 401,
    "modelerrorexception": 500,
    "modelnotreadyexception": 429,
    "modelstreamerrorexception": 500,
    "modeltimeoutexception": 408,
    "resourcenotfoundexception": 404,
    "servicequotaexceededexception": 429,
    "serviceunavailableexception": 503,
    "throttlingexception": 429,
    "unrecognizedclientexception": 401,
    "validationexception": 400,
}
#: Parts of the messages with which a ValidationException says that the model cannot be called, rather than not like this.
_NO_SUCH_MODEL = ("model identifier", "model id", "on-demand throughput", "end of its life")
_BLOCKED = ("blocked by content filtering", "content filter", "guardrail")


def translate(error: Exception) -> Exception:
    """What boto3, botocore and urllib3 raise, as a neutral error."""
    from botocore import exceptions as boto
    from botocore.eventstream import ParserError
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError
    from urllib3.exceptions import TimeoutError as SocketTimeout

    if isinstance(error, boto.ClientError):
        return _translate_answer(error)
    if isinstance(
        error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError | boto.TokenRetrievalError
    ):
        return ModelAuthenticationError(str(error))
    if isinstance(error, boto.ConnectTimeoutError | boto.ReadTimeoutError | SocketTimeout):
        return ModelTimeoutError(type(error).__name__)
    if isinstance(error, boto.HTTPClientError | HTTPError | ParserError | boto.ResponseStreamingError | ConnectionError):
        return ModelConnectionError(type(error).__name__)
    if isinstance(error, ResponseParserError):
        return unreadable()
    if isinstance(error, boto.ParamValidationError):
        return Declined("The request cannot be put into the form of the Converse API.")
    if isinstance(error, boto.BotoCoreError):
        return not_configured(f"Bedrock: {error}")
    return error


def _translate_answer(error: Any) -> Exception:
    code = error.response.get("Error", {}).get("Code", "")
    reason = error.response.get("Error", {}).get("Message", "")
    answer = error.response.get("ResponseMetadata", {})
    if code.lower() == "validationexception" and any(part in reason.lower() for part in _BLOCKED):
        return refused(["content_filtered"])
    if code.lower() == "validationexception" and any(part in reason.lower() for part in _NO_SUCH_MODEL):
        return ModelNotFoundError("Bedrock does not serve this model.")
    status = _STATUS.get(code.lower()) or answer.get("HTTPStatusCode") or 500
    return of_status(status, f"{code}: {reason}", retry_after(answer.get("HTTPHeaders", {})))


G = TypeVar("G", bound=ChatGeneration)


class _Built(Exception):
    """A request is built and was not sent."""


class _Unsent:
    """Stands for a client where a request is only built."""

    def converse(self, **_: Any) -> None:
        raise _Built


class BedrockTranslation(NeutralChatModel):
    """What stands before the SDK's class. `threads` run boto3's blocking calls; there are as many as connections."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    threads: ThreadPoolExecutor = Field(exclude=True, repr=False)

    def translated(self, error: Exception) -> Exception:
        return translate(error)

    def ended(self, generation: ChatGeneration) -> str | None:
        return generation.message.response_metadata.get("stopReason")

    def refusals(self) -> Collection[str]:
        return ("guardrail_intervened", "content_filtered")

    def admit(self, messages: list[BaseMessage]) -> None:
        super().admit(messages)
        images_of(messages, CLAUDES_IMAGES)  # Converse's formats are the same

    def prepared(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> object:
        unsent = self.model_copy(update={"client": _Unsent()})
        with suppress(_Built):
            super(NeutralChatModel, unsent)._generate(messages, stop, None, **self.arguments(kwargs))  # type: ignore[safe-super]
        return None

    def arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in kwargs.items() if name != "seed"}  # Converse has none
        model: Any = self
        if is_claude(named := f"{model.base_model_id or model.model_id}"):
            given = sampled(named, given)
        kind = (given.get("response_format") or {}).get("type", "text")
        if kind == "text":
            given.pop("response_format", None)
        elif kind != "json_schema":
            raise UnsupportedFeature(f"Bedrock has no response format {kind!r}.", param="response_format")
        return self._chosen(given)

    def _chosen(self, given: dict[str, Any]) -> dict[str, Any]:
        choice = given.pop("tool_choice", None)
        if choice == "none":
            given.pop("tools", None)
        if choice in (None, "none"):
            return given
        if isinstance(choice, dict) and "function" in choice:
            choice = {"tool": {"name": choice["function"]["name"]}}
        elif choice in ("auto", "any", "required", True):
            choice = {"auto" if choice == "auto" else "any": {}}
        elif isinstance(choice, str):
            choice = {"tool": {"name": choice}}
        if next(iter(choice)) in (getattr(self, "supports_tool_choice_values", None) or ()):
            return given | {"tool_choice": choice}
        if "auto" in choice:
            return given
        raise UnsupportedFeature("The model cannot be made to call a tool.", param="tool_choice")

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in super()._stream(messages, stop, run_manager, **kwargs):
            yield _in_its_tier(_plain(chunk))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """Left early, the connection is shut, so that its thread is free at once and Bedrock stops."""
        with Call() as call:

            def ask() -> ChatResult:
                try:
                    result = self._generate(messages, stop, None, **kwargs)
                    for generation in result.generations:
                        _in_its_tier(generation)
                    return result
                finally:
                    call.done()

            return await asyncio.get_running_loop().run_in_executor(self.threads, call.runs(ask))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        """Left early, the connection is shut, so that its thread is free at once and Bedrock stops.

        A model that Bedrock cannot stream (some not with tools) gives its whole answer in one chunk.
        """
        if self.disable_streaming is True or (self.disable_streaming == "tool_calling" and kwargs.get("tools")):
            result = await self._agenerate(messages, stop, None, **kwargs)
            yield _in_one_piece(result)
            return
        chunks: asyncio.Queue[ChatGenerationChunk | Exception | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def tell(item: ChatGenerationChunk | Exception | None) -> None:
            with suppress(RuntimeError):  # the loop has ended, and nobody listens
                loop.call_soon_threadsafe(chunks.put_nowait, item)

        def pump() -> None:
            try:
                for chunk in self._stream(messages, stop, None, **kwargs):
                    tell(chunk)
                    if call.left:
                        return
            except Exception as error:  # noqa: BLE001 - it is raised where the chunks are awaited
                call.done()
                tell(error)
            else:
                call.done()
                tell(None)

        with Call() as call:
            loop.run_in_executor(self.threads, call.runs(pump))
            while (item := await chunks.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item


@cache
def chat_class() -> Callable[..., BaseChatModel]:
    """The chat model's class, made when the SDK is first needed."""
    from langchain_aws import ChatBedrockConverse

    class BedrockChat(BedrockTranslation, ChatBedrockConverse):
        """Converse with neutral errors."""

    return BedrockChat


def _in_its_tier(generation: G) -> G:
    """The same, with the tier that Bedrock says it was served in. What was made faster for more money is no standard one."""
    told: Any = generation.message.response_metadata
    try:
        fast = (told.get("performanceConfig") or {}).get("latency") == "optimized"
        mark(generation, "optimized" if fast else (told.get("serviceTier") or {}).get("type"))
    except MISREAD as error:
        raise unreadable() from error
    return generation


def _in_one_piece(result: ChatResult) -> ChatGenerationChunk:
    message: Any = result.generations[0].message
    calls = [
        {"name": call["name"], "args": json.dumps(call["args"]), "id": call["id"], "index": index, "type": "tool_call_chunk"}
        for index, call in enumerate(message.tool_calls)
    ]
    return ChatGenerationChunk(
        message=AIMessageChunk(
            content=message.content,
            tool_call_chunks=calls,
            usage_metadata=message.usage_metadata,
            response_metadata=message.response_metadata,
        ),
        generation_info=result.generations[0].generation_info,
    )


def _plain(chunk: ChatGenerationChunk) -> ChatGenerationChunk:
    """Text as a string, as every other provider streams it, rather than as a list of blocks.

    Raises:
        ModelConnectionError: it is none.
    """
    content = chunk.message.content
    if isinstance(content, list) and all(isinstance(block, dict) and block.get("type") == "text" for block in content):
        try:
            chunk.message.content = "".join(block["text"] for block in content if isinstance(block, dict))
        except MISREAD as error:
            raise unreadable() from error
    return chunk
