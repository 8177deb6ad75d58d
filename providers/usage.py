"""What providers say that a call used: believed where it can be true, and told so that the chunks of an answer add up to it."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from typing import Any, TypeGuard, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage, subtract_usage
from langchain_core.outputs import ChatGenerationChunk

#: More tokens than a call can use: the longest window holds ten million (Llama 4 Scout, November 2026).
MOST_TOKENS = 100_000_000
_DETAILS = (("input_token_details", "input_tokens"), ("output_token_details", "output_tokens"))
_OF_OPENAI = ("prompt_tokens_details", "completion_tokens_details")
_CACHED = ("cache_read", "cache_creation", "5m_input_tokens", "1h_input_tokens")


def is_count(value: Any) -> TypeGuard[int]:
    """Whether it is a number of tokens that a call can use."""
    return type(value) is int and 0 <= value <= MOST_TOKENS


def plausible(metadata: Any) -> UsageMetadata | None:
    """LangChain's usage metadata of a whole answer, None where it cannot be true: then nothing was told.

    No answer uses nothing. Details that cannot be a part of what they detail are left out: their tokens cost as any. The total
    is the sum.
    """
    usage = _counted(metadata)
    if usage is None or not usage["total_tokens"]:
        return None
    for details, of in _DETAILS:
        parts: dict[str, int] = cast("Any", usage).get(details, {})
        cached = sum(count for name, count in parts.items() if name.endswith(_CACHED))
        if max([cached, *parts.values()]) > cast("Any", usage)[of]:
            del cast("Any", usage)[details]
    return usage


def _counted(metadata: Any) -> UsageMetadata | None:
    """The same of a part of an answer, which may detail what another part has told."""
    if not isinstance(metadata, Mapping):
        return None
    given, made = metadata.get("input_tokens"), metadata.get("output_tokens")
    if not (is_count(given) and is_count(made)):
        return None
    usage: Any = {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}
    for name, _ in _DETAILS:
        details = metadata.get(name)
        parts = {part: count for part, count in details.items() if count is not None} if isinstance(details, Mapping) else {}
        if parts and all(map(is_count, parts.values())):
            usage[name] = parts
    return cast("UsageMetadata", usage)


def readable(usage: Any) -> dict[str, Any] | None:
    """The usage of an answer or an event of OpenAI's protocol, None where LangChain could not read it: then none was told.
    Details that are none are left out. Where reasoning is a part of the total and none of the completion's tokens (xAI; Gemini
    by OpenAI's protocol), it is made one: it costs as output. Where only DeepSeek's own field tells what was cached, it counts.
    """
    if not isinstance(usage, dict):
        return None
    given, made, total = (usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
    if not (_may_be_count(given) and _may_be_count(made)):
        return None
    wrong = [name for name in _OF_OPENAI if not _are_counts(usage.get(name))]
    wrong += [] if _may_be_count(total) else ["total_tokens"]
    told: dict[str, Any] = usage | dict.fromkeys(wrong) if wrong else usage
    thought = (told.get("completion_tokens_details") or {}).get("reasoning_tokens")
    if thought and total == (given or 0) + (made or 0) + thought:
        told = told | {"completion_tokens": (made or 0) + thought}
    hit = told.get("prompt_cache_hit_tokens")
    if hit and is_count(hit) and (told.get("prompt_tokens_details") or {}).get("cached_tokens") is None:
        told = told | {"prompt_tokens_details": {**(told.get("prompt_tokens_details") or {}), "cached_tokens": hit}}
    return told


def add_images(message: Any, usage: Any) -> None:
    """Have a message's usage tell the tokens of pictures, which LangChain does not read of OpenAI's protocol."""
    if not isinstance(usage, dict) or not message.usage_metadata:
        return
    for (name, _), told in zip(_DETAILS, _OF_OPENAI, strict=True):
        if count := (usage.get(told) or {}).get("image_tokens"):
            details = {**(message.usage_metadata.get(name) or {}), "image": count}
            message.usage_metadata = message.usage_metadata | {name: details}


def _may_be_count(value: Any) -> bool:
    return value is None or is_count(value)


def _are_counts(details: Any) -> bool:
    return details is None or (isinstance(details, dict) and all(map(_may_be_count, details.values())))


class Tally:
    """What one call used, by what its answer says: of its chunks the sum, which is LangChain's contract."""

    __slots__ = ("_sum", "_unlikely")

    def __init__(self) -> None:
        self._sum: UsageMetadata | None = None
        self._unlikely = False

    @property
    def told(self) -> UsageMetadata | None:
        """None where nothing was told that can be true."""
        return None if self._unlikely else plausible(self._sum)

    def add(self, metadata: Any) -> UsageMetadata | None:
        """A chunk's, as it may be passed on. One that cannot be true discredits all of the answer's."""
        usage = _counted(metadata)
        if usage is None or self._unlikely:
            self._unlikely = True
            return None
        self._sum = add_usage(self._sum, usage)
        return usage

    def settle(self, metadata: Any) -> UsageMetadata | None:
        """The whole answer's, which holds instead of what was added; as it may be passed on."""
        if metadata and not self._unlikely:
            self._sum = _counted(metadata)
            self._unlikely = self._sum is None
        return self.told

    def broken_off(self, output_tokens: int) -> UsageMetadata | None:
        """What an answer used of which something has come. Some providers tell its input first and its output last, or never:
        then it is the given, counted here."""
        told = self.told
        if told is None or told["output_tokens"]:
            return told
        return plausible(told | {"output_tokens": output_tokens})


class Running:
    """For streams that tell time and again what was used so far: what was used since, which adds up."""

    __slots__ = ("_so_far",)

    def __init__(self) -> None:
        self._so_far: UsageMetadata | None = None

    def of(self, chunk: ChatGenerationChunk) -> ChatGenerationChunk:
        """The chunk, telling what was used since the one before."""
        message: Any = chunk.message
        if told := getattr(message, "usage_metadata", None):
            message.usage_metadata = self.since(told)
        return chunk

    def since(self, told: Any) -> UsageMetadata | None:
        """None where nothing was. What cannot be true is given as it is, for its reader to see."""
        usage = _counted(told)
        if usage is None:
            return cast("UsageMetadata", told)
        since: Any = subtract_usage(usage, self._so_far)
        since["total_tokens"] = since["input_tokens"] + since["output_tokens"]
        self._so_far = add_usage(self._so_far, since)
        details = (since.get(name) or {} for name, _ in _DETAILS)
        return since if since["total_tokens"] or any(any(part.values()) for part in details) else None


class AddingUp(BaseChatModel):
    """A mixin: it stands right before a partner package's class whose streams tell what was used so far."""

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield from map(Running().of, super()._stream(messages, stop, run_manager, **kwargs))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        running, answer = Running(), cast("Any", super()._astream(messages, stop, run_manager, **kwargs))
        async with aclosing(answer) as chunks:
            async for chunk in chunks:
                yield running.of(chunk)
