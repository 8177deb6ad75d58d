"""What the clouds' SDKs raise, as one tree: langchain-core's neutral errors, or `core.errors` where the cause is known.

`NeutralChatModel` goes in front of a partner package's chat model. It translates its errors, takes the parameters that a
caller may set in OpenAI's form, and sees to it that neither a refused answer nor a stream that was cut ends as success.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from concurrent.futures import Executor
from contextlib import aclosing, contextmanager
from threading import Lock
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.embeddings import Embeddings
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from core.errors import ContentRefused, ContextLengthExceeded, InvalidRequest, PlatformError
from providers.reported import reporting

#: Parts of the messages with which clouds say that a prompt is too long; none of them gives it a code of its own.
#: As seen in the partner packages' own lists and in the clouds' documentation, November 2026.
TOO_LONG = (
    "context_length_exceeded",
    "exceed context limit",
    "exceeds the context window",
    "exceeds the maximum number of tokens",
    "exceed model maximum",
    "input is too long",
    "input length and `max_tokens` exceed",
    "input token count",
    "input tokens exceed",
    "maximum context length",
    "prompt is too long",
    "too many input tokens",
)


class ProviderBusy(ModelRateLimitError):
    """429. `retry_after_s` is what the provider asked for, None where it named nothing."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ProviderDown(ModelAPIError):
    """5xx. `retry_after_s` is what the provider asked for, None where it named nothing."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


#: What code raises that reads an answer of another form than the one agreed on.
MISREAD = (TypeError, LookupError, AttributeError, ValueError, OverflowError, RecursionError)


class Declined(ModelInvalidRequestError):
    """Another 4xx than 400, or a request that has no form of this provider's: the deployment takes none such; the next may."""


#: Codes of error events, of OpenAI and those that follow it, for 429 and 400.
_BUSY = frozenset({"rate_limit_exceeded", "rate_limit_error", "rate_limited", "too_many_requests", "RateLimitReached"})
_INVALID = frozenset({"invalid_request_error", "invalid_request", "invalid_value", "BadRequest"})
#: 402 (no credit) and 451 are an operator's to mend, as a refused credential is; 405 and 410: what is called is not there.
_BY_STATUS: dict[int, type[ModelError]] = {
    400: ModelInvalidRequestError,
    401: ModelAuthenticationError,
    402: ModelPermissionDeniedError,
    403: ModelPermissionDeniedError,
    404: ModelNotFoundError,
    405: ModelNotFoundError,
    408: ModelTimeoutError,
    410: ModelNotFoundError,
    451: ModelPermissionDeniedError,
    504: ModelTimeoutError,
}


def of_status(status: int, reason: str, retry_after_s: float | None = None) -> ModelError | PlatformError:
    """The error that an HTTP status other than a success and the provider's own words stand for. A redirect is a failure: what
    is sent to a provider goes nowhere else."""
    if 400 <= status < 500 and is_too_long(reason):
        return too_long()
    if status == 429:
        return ProviderBusy(reason, retry_after_s)
    if status in _BY_STATUS:
        return _BY_STATUS[status](reason)
    return Declined(reason) if 400 <= status < 500 and status != 409 else ProviderDown(reason, retry_after_s)


def of_event(code: object, reason: str) -> ModelError | PlatformError:
    """The error of an event within a stream, whose status was a success: its code may be an HTTP status or a name."""
    named = str(code)
    if named.isdecimal() and 400 <= int(named) < 600:
        return of_status(int(named), reason)
    if named in _BUSY:
        return ProviderBusy(reason)
    return ModelInvalidRequestError(reason) if named in _INVALID else ProviderDown(reason)


def code_of(body: bytes) -> str:
    """The code of an error in the form `{"error": {"code"}}`, empty where there is none: never its message."""
    try:
        error = json.loads(body)["error"]
        return str(error.get("code") or error.get("status") or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""


def is_too_long(reason: str) -> bool:
    """Whether a provider's words mean that the prompt does not fit."""
    lower = reason.lower()
    return any(part in lower for part in TOO_LONG)


def too_long() -> ContextLengthExceeded:
    """The error for a prompt that does not fit; it names no text of the caller's."""
    return ContextLengthExceeded("The prompt is longer than the model's context.")


def refused(reasons: Collection[str]) -> ContentRefused:
    """`reasons` are the provider's categories, never its or the caller's text."""
    named = ", ".join(sorted({reason.lower() for reason in reasons if reason}))
    return ContentRefused(f"The provider refused the content by its policy{': ' + named if named else ''}.")


def not_configured(message: str) -> ModelAuthenticationError:
    """The error for a provider without a credential, a region or an address. It is an operator's to mend, so it counts with
    refused credentials: the next deployment is asked, and nobody tries again."""
    return ModelAuthenticationError(message)


def unfinished() -> ModelConnectionError:
    """The error for an answer that was cut: retryable, and never a success."""
    return ModelConnectionError("The answer ended without its final marker.")


def unreadable() -> ModelConnectionError:
    """The error for an answer, or a chunk of one, that has not the form agreed on."""
    return ModelConnectionError("The answer cannot be read.")


def images_must_be_inline(messages: list[BaseMessage]) -> None:
    """Refuse images by address: some SDKs would fetch them from inside of this network.

    Raises:
        InvalidRequest: an image that is not base64 or a data URL.
    """
    for message in messages:
        for block in message.content if isinstance(message.content, list) else ():
            if not isinstance(block, dict):
                continue
            image = block.get("image_url", "")
            addresses = (
                image.get("url", "") if isinstance(image, dict) else image,
                block.get("url", ""),
                block.get("file_uri", ""),
            )
            if any(address and not str(address).startswith("data:") for address in addresses):
                raise InvalidRequest("An image must be sent as base64 or a data URL.", param="messages")


@contextmanager
def translating(translate: Callable[[Exception], Exception], prepare: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Raise what `translate` makes of an exception in the block, which builds a request and reads the answer.

    An error of neither the SDK nor the wire is the answer's, which cannot be read, unless `prepare`, which builds the request
    alone and is called only then, fails as well.
    """
    try:
        yield
    except Exception as error:
        try:
            neutral = translate(error)
        except MISREAD:  # of the error's body
            neutral = unreadable()
        if isinstance(neutral, MISREAD):
            neutral = _of_request(prepare) or unreadable()
        if neutral is error:
            raise
        raise neutral from error


def _of_request(prepare: Callable[[], object]) -> Exception | None:
    """The error of a request that cannot be put into the provider's form; None where it can. The next provider's may do."""
    try:
        prepare()
    except PlatformError as error:
        return error
    except MISREAD:
        return Declined("The request cannot be put into the provider's form.")
    return None


class NeutralChatModel(BaseChatModel):
    """A mixin: it stands before the partner package's class among the bases.

    A subclass says how its SDK's errors translate, and how an answer names the reason for which it ended.
    """

    def translated(self, error: Exception) -> Exception:
        """The neutral error; `error` itself where it is none of the provider's."""
        raise NotImplementedError

    def ended(self, generation: ChatGeneration) -> str | None:
        """The provider's reason for the end, None in a chunk of a stream that goes on."""
        raise NotImplementedError

    def refusals(self) -> Collection[str]:
        """Reasons for the end that mean: refused by policy."""
        return ()

    def ends_unnamed(self, generation: ChatGeneration) -> bool:
        """Whether an answer that came in one piece is whole although it names no reason for its end."""
        return False

    def arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """A caller's parameters, which have OpenAI's names, as the provider takes them.

        Raises:
            UnsupportedFeature: the provider has no such parameter.
        """
        return kwargs

    def prepared(self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]) -> object:
        """The request as the SDK builds it, from a caller's parameters. Nothing is sent."""
        raise NotImplementedError

    def admit(self, messages: list[BaseMessage]) -> None:
        """Raises `InvalidRequest` for messages that must not reach the SDK."""
        images_must_be_inline(messages)

    def neutral(self, error: Exception) -> Exception:
        if isinstance(error, PlatformError):
            return error
        return too_long() if isinstance(error, ContextOverflowError) else self.translated(error)

    def check(self, generation: ChatGeneration) -> str | None:
        """The reason for the end.

        Raises:
            ContentRefused: it is a refusal.
        """
        reason = self.ended(generation)
        if reason in self.refusals():
            raise refused([reason or ""])
        return reason

    def _whole(self, result: ChatResult) -> ChatResult:
        with reporting(lambda: result.generations[0]):
            for generation in result.generations:
                if not self.check(generation) and not self.ends_unnamed(generation):
                    raise unfinished()
        return result

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.admit(messages)
        with translating(self.neutral, lambda: self.prepared(messages, stop, kwargs)):
            result = super()._generate(messages, stop, run_manager, **self.arguments(kwargs))  # type: ignore[safe-super]
        return self._whole(result)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.admit(messages)
        with translating(self.neutral, lambda: self.prepared(messages, stop, kwargs)):
            result = await super()._agenerate(messages, stop, run_manager, **self.arguments(kwargs))
        return self._whole(result)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        self.admit(messages)
        end = _End(self)
        with translating(self.neutral, lambda: self.prepared(messages, stop, kwargs)):
            for chunk in super()._stream(messages, stop, run_manager, **self.arguments(kwargs)):
                end.note(chunk)
                yield chunk
        end.check()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        self.admit(messages)
        end = _End(self)
        with translating(self.neutral, lambda: self.prepared(messages, stop, kwargs)):
            answer: Any = super()._astream(messages, stop, run_manager, **self.arguments(kwargs))
            async with aclosing(answer) as chunks:
                async for chunk in chunks:
                    end.note(chunk)
                    yield chunk
        end.check()


class _End:
    """Of a stream, by its chunks: a refusal is raised once the provider has told what it used, which it tells last."""

    def __init__(self, model: NeutralChatModel) -> None:
        self._model = model
        self._reason: str | None = None
        self._refused: ContentRefused | None = None

    def note(self, chunk: ChatGenerationChunk) -> None:
        try:
            self._reason = self._model.check(chunk) or self._reason
        except ContentRefused as error:
            self._refused = self._refused or error

    def check(self) -> None:
        """Raises what is wrong with the answer, now that it has ended."""
        if self._refused is not None:
            raise self._refused
        if self._reason is None:
            raise unfinished()


class NeutralEmbeddings(Embeddings):
    """A partner package's embeddings with neutral errors, built at first use and never on an event loop.

    `build` may block and import what it needs. Asynchronous calls run on `threads`; None: in the package's own way.
    """

    def __init__(
        self, build: Callable[[], Embeddings], translate: Callable[[Exception], Exception], threads: Executor | None = None
    ) -> None:
        self._build, self._translate, self._threads = build, translate, threads
        self._built: Embeddings | None = None
        self._lock = Lock()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        with translating(self._neutral):
            return self._inner().embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        with translating(self._neutral):
            return self._inner().embed_query(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        if self._threads is not None:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self.embed_documents, texts)
        with translating(self._neutral):
            inner = self._built if self._built is not None else await asyncio.to_thread(self._inner)
            return await inner.aembed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        if self._threads is not None:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self.embed_query, text)
        with translating(self._neutral):
            inner = self._built if self._built is not None else await asyncio.to_thread(self._inner)
            return await inner.aembed_query(text)

    def _inner(self) -> Embeddings:
        with self._lock:
            if self._built is None:
                self._built = self._build()
            return self._built

    def _neutral(self, error: Exception) -> Exception:
        if isinstance(error, PlatformError | ModelError) and not isinstance(error, ContextOverflowError):
            return error
        if isinstance(error, ContextOverflowError):
            return too_long()
        return unreadable() if isinstance(translated := self._translate(error), MISREAD) else translated
