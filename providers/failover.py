"""A chat model that is a chain of deployments: the first that gives a whole answer in time answers."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any

import structlog
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field, InstanceOf

from core import context
from core.bridge import call, iterate
from core.errors import ContentRefused, DeadlineExceeded, PlatformError, ProviderFailed, RateLimited
from providers.attempt import Attempt, Deadline, Served
from providers.failures import ALARMING, CALLERS_OWN, FINAL, TRANSIENT, Failure, Kind, understand
from providers.metering import cost_of, usage_of
from providers.parameters import allowed, missing
from providers.structured import structured_output

log = structlog.get_logger()

#: A deployment is called again, where it is the last one left and its failure may have been a moment's.
SECOND_CHANCES = 1
#: It is left in peace for so long before that, at random, so that callers do not come back all at once.
PAUSE_S = (0.1, 0.4)


class FailoverChatModel(BaseChatModel):
    """Calls its deployments in order, until one answers. Nothing of a failed call reaches the caller.

    A call moves on where another deployment may do better (see `providers.failures`) and nothing has been sent to the caller.
    `invoke` streams too, within: so a silent provider is left in time, and an answer that was cut starts again elsewhere.

    Raises:
        ContextLengthExceeded, ContentRefused, UnsupportedFeature, InvalidRequest: the request's own fault.
        RateLimited: all deployments are at their limits, or the local model's queue is full.
        Unavailable: no local model can be loaded, or no server of one answers.
        ProviderFailed: all deployments failed; code `stream_interrupted` where a stream was cut after its first token.
        DeadlineExceeded: `total_s` is over.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    alias: str
    deployments: tuple[InstanceOf[Served], ...] = Field(exclude=True, repr=False)
    total_s: float

    @property
    def _llm_type(self) -> str:
        return "genai-failover"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"alias": self.alias}

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Tools in any of LangChain's forms. `tool_choice`: auto, none, any, required, a name, or OpenAI's object."""
        formatted = [convert_to_openai_tool(tool) for tool in tools]
        names = {tool["function"]["name"] for tool in formatted}
        if tool_choice in names:
            tool_choice = {"type": "function", "function": {"name": tool_choice}}
        elif tool_choice in ("any", True):
            tool_choice = "required"
        return self.bind(tools=formatted, tool_choice=tool_choice or None, **kwargs)

    def with_structured_output(
        self, schema: Any, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Answers as a dictionary, or an instance where `schema` is a pydantic class. `method`: `json_schema` (the default),
        `function_calling` or `json_mode`."""
        return structured_output(self, schema, include_raw=include_raw, **kwargs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with aclosing(self._answers(messages, allowed(kwargs, stop), restart=False)) as chunks:
            async for chunk in chunks:
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        async with aclosing(self._answers(messages, allowed(kwargs, stop), restart=True)) as chunks:
            return _whole([chunk async for chunk in chunks])

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

    async def _answers(
        self, messages: list[BaseMessage], parameters: dict[str, Any], *, restart: bool
    ) -> AsyncGenerator[ChatGenerationChunk]:
        """The chunks of the first deployment that answers. With `restart` they come only once the answer is whole."""
        deadline = Deadline.after(self.total_s)
        failures: list[Failure] = []
        tried: list[Served] = []
        for served in self._order(messages, parameters, failures):
            if served in tried:
                await asyncio.sleep(min(random.uniform(*PAUSE_S), max(deadline.remaining, 0)))  # noqa: S311 - no secret
            tried.append(served)
            deadline.check()
            answer = _Answer(served, deadline, messages, parameters)
            chunks: list[ChatGenerationChunk] = []
            try:
                async with aclosing(answer.chunks()) as stream:
                    async for chunk in stream:
                        if restart:
                            chunks.append(chunk)
                        else:
                            yield chunk
            except DeadlineExceeded:
                raise
            except Exception as error:
                failure = understand(error)
                self._note(failure, served, error)
                if answer.told and not restart:
                    raise _interrupted(failure) from error
                if failure.kind in FINAL:
                    raise failure.error from error
                failures.append(failure)
                continue
            for chunk in chunks:
                yield chunk
            return
        raise _outcome(failures)

    def _order(self, messages: list[BaseMessage], parameters: dict[str, Any], failures: list[Failure]) -> Iterator[Served]:
        """The deployments to call, in turn; `failures` holds what has come of those before, and of those that cannot serve."""
        able = []
        for served in self.deployments:
            if lacking := missing(served.facts, parameters, messages):
                failures.append(Failure(Kind.UNSUPPORTED, lacking))
            else:
                able.append(served)
        too_small = 0
        for served in able:
            window = served.facts.context_tokens
            if window is not None and window <= too_small:
                continue
            before = len(failures)
            yield served
            if failures[before].kind is Kind.CONTEXT:
                too_small = max(too_small, window or 0)
        for _ in range(SECOND_CHANCES if able and failures[-1].kind in TRANSIENT else 0):
            yield able[-1]

    def _note(self, failure: Failure, served: Served, error: Exception) -> None:
        (log.error if failure.kind in ALARMING else log.warning)(
            "provider.failed",
            alias=self.alias,
            provider=served.provider_name,
            model=served.name,
            kind=failure.kind.value,
            error=type(error).__name__,
        )


class _Answer:
    """One attempt at an answer, and its record in the request's context."""

    def __init__(self, served: Served, deadline: Deadline, messages: list[BaseMessage], parameters: dict[str, Any]) -> None:
        self._served = served
        self._messages = messages
        self._parameters = parameters
        self._request = context.current()
        self._attempt: Attempt[ChatGenerationChunk] = Attempt(served, deadline, _tells, _ends, self._count)
        self._text: list[str] = []
        self._usage: Any = None

    @property
    def told(self) -> bool:
        return self._attempt.told

    def _count(self) -> None:
        self._request.attempts += 1

    def _open(self) -> AsyncIterator[ChatGenerationChunk]:
        model = self._served.provider.chat(self._served.model, self._served.timeouts)
        parameters = dict(self._parameters)
        stop = parameters.pop("stop", None)
        # The extension point of a chat model rather than `astream`: no second run with callbacks of its own, 0.2 ms a call.
        return model._astream(self._messages, stop, None, **parameters)  # noqa: SLF001

    async def chunks(self) -> AsyncGenerator[ChatGenerationChunk]:
        failed = False
        try:
            async with aclosing(self._attempt.pieces(self._open)) as pieces:
                async for chunk in pieces:
                    if not self._text and _refused(chunk):
                        raise ContentRefused("The provider refused the content by its policy (content_filter).")  # noqa: TRY301
                    if chunk.text:
                        self._text.append(chunk.text)
                    self._usage = getattr(chunk.message, "usage_metadata", None) or self._usage
                    if _ends(chunk):
                        chunk.message.response_metadata["provider"] = self._served.provider_name
                    yield chunk
        except Exception:
            failed = True
            raise
        finally:
            if not failed and self._attempt.started:  # whole, or left by the caller
                self._record()

    def _record(self) -> None:
        served = self._served
        text = "".join(self._text)
        usage = usage_of(self._usage, self._messages, text, lambda counted: served.provider.count_tokens(served.model, counted))
        self._request.called(
            provider=served.provider_name,
            model=served.name,
            usage=usage,
            cost_usd=cost_of(served.provider_name, served.name, usage, self._usage),
            seconds=self._attempt.seconds,
        )


def _tells(chunk: ChatGenerationChunk) -> bool:
    message = chunk.message
    return bool(message.content or getattr(message, "tool_call_chunks", None) or message.additional_kwargs)


def _finish_reason(chunk: ChatGenerationChunk) -> str | None:
    sources = (chunk.generation_info or {}, chunk.message.response_metadata)
    names = ("finish_reason", "stop_reason", "stopReason", "done_reason")
    return next((str(source[name]) for source in sources for name in names if source.get(name)), None)


def _ends(chunk: ChatGenerationChunk) -> bool:
    return _finish_reason(chunk) is not None


def _refused(chunk: ChatGenerationChunk) -> bool:
    return _finish_reason(chunk) == "content_filter" and not chunk.text


def _whole(chunks: list[ChatGenerationChunk]) -> ChatResult:
    """One generation of all the chunks of an answer."""
    messages = [chunk.message for chunk in chunks if isinstance(chunk.message, AIMessageChunk)]
    merged = add_ai_message_chunks(messages[0], *messages[1:])
    info: dict[str, Any] = {}
    for chunk in chunks:
        info |= chunk.generation_info or {}
    message = AIMessage(
        content=merged.content,
        additional_kwargs=merged.additional_kwargs,
        response_metadata=merged.response_metadata | info,
        id=merged.id,
        tool_calls=merged.tool_calls,
        invalid_tool_calls=merged.invalid_tool_calls,
        usage_metadata=merged.usage_metadata,
    )
    return ChatResult(generations=[ChatGeneration(message=message, generation_info=info or None)])


def _interrupted(failure: Failure) -> PlatformError:
    return ProviderFailed(
        "The provider's answer was cut after it had begun.", code="stream_interrupted", context={"reason": failure.kind}
    )


def _outcome(failures: list[Failure]) -> PlatformError:
    """The error of a request whose deployments all failed."""
    last = failures[-1]
    if last.kind in CALLERS_OWN:
        return last.error
    if len({failure.kind for failure in failures}) == 1 and isinstance(last.error, RateLimited):
        waits = [failure.retry_after_s for failure in failures if failure.retry_after_s is not None]
        last.error.retry_after_s = min(waits, default=None)
        return last.error
    if all(failure.kind is Kind.UNAVAILABLE for failure in failures):
        return last.error
    return ProviderFailed(
        "No provider of this model gave an answer.", context={"reasons": [failure.kind.value for failure in failures]}
    )
