"""What has come of one call of a deployment, and whether it shows that the provider is at work."""

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from core.context import Usage
from core.errors import ContentRefused
from providers.collecting import THINKS, finish_reason
from providers.endings import judge
from providers.failures import StreamCut
from providers.metering import usage_of
from providers.neutral import ProviderDown, unreadable
from providers.reported import reported
from providers.tiers import TIER
from providers.tokens import Counter
from providers.usage import Tally


class Received:
    """Of a call that begins with `begin`.

    `told`: anything of the answer has come. `ended`: the provider has named a reason for its end; `wrong` is the error that it
    means, if it is none of a whole answer: what comes after it is not told. `alive`: it has told
    something, or thinks; `first_token_s` after so many seconds. `fresh`: it has since that was last asked. `tier` is the tier
    of service that it has named, None: the standard one. `reason` and `model` are what it calls
    its reason for the end and itself.
    """

    __slots__ = (
        "_arguments",
        "_began",
        "_pieces",
        "_provider_name",
        "_tally",
        "alive",
        "ended",
        "first_token_s",
        "fresh",
        "model",
        "only_text",
        "reason",
        "tier",
        "told",
        "wrong",
    )

    def __init__(self, provider_name: str) -> None:
        self._provider_name = provider_name
        self._pieces: list[str] = []
        self._arguments: list[str] = []
        self._began = 0.0
        self.told = self.ended = self.alive = self.fresh = False
        self.only_text = True
        self.first_token_s: float | None = None
        self.tier: str | None = None
        self.wrong: Exception | None = None
        self.reason: str | None = None
        self.model: str | None = None
        self._tally = Tally()

    @property
    def usage(self) -> UsageMetadata | None:
        """What the provider reported, as LangChain has it, None where it did not or where that cannot be true."""
        return self._tally.told

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def begin(self, at: float) -> None:
        self._began = at

    def add(self, text: str, arguments: str = "") -> None:
        """Text and calls' arguments that came otherwise than in chunks."""
        self._pieces.append(text)
        self._arguments.append(arguments)

    def note(self, chunk: ChatGenerationChunk) -> None:
        """Usage that cannot be true is taken out of it.

        Raises:
            ModelConnectionError: its text cannot be written down.
        """
        message: Any = chunk.message
        text = chunk.text
        _check_characters(text, *(call["args"] or "" for call in message.tool_call_chunks))
        if message.usage_metadata:
            message.usage_metadata = self._tally.add(message.usage_metadata)
        self._note_tier(chunk)
        thinks = chunk.generation_info and chunk.generation_info.pop(THINKS, False)
        if reason := finish_reason(chunk):
            self.end(reason)
            self._named(message, chunk.generation_info)
            message.response_metadata["provider"] = self._provider_name
        if text:
            self._pieces.append(text)
        self._arguments += [call["args"] or "" for call in message.tool_call_chunks]
        if text or message.content or message.tool_call_chunks or message.additional_kwargs:
            self.told = self.told or self.wrong is None
            self.live()
        elif thinks:
            self.live()
        if message.tool_call_chunks or (message.content and not text):
            self.only_text = False

    def take(self, result: ChatResult) -> None:
        """The whole answer, whether it came in pieces or at once. Raises as `check` does."""
        generation = result.generations[0]
        message: Any = generation.message
        self._note_tier(generation)
        self.told = True
        _check_characters(message.text, *_written(message.tool_calls), *_written(message.invalid_tool_calls))
        if not self.text:
            self.add(message.text)
        message.usage_metadata = self._tally.settle(message.usage_metadata)
        self.ended = True
        self.end(finish_reason(generation))
        self._named(message, result.llm_output)
        message.response_metadata["provider"] = self._provider_name
        self.check()

    def check(self) -> None:
        """Of an answer that is over.

        Raises:
            StreamCut: it has not ended.
            ContentRefused: the provider's policy ended it.
            ProviderDown: the provider ended it as one that went wrong.
        """
        if not self.ended:
            raise StreamCut
        if self.wrong is not None:
            raise self.wrong

    def hear(self, error: BaseException) -> None:
        """Take note of what an error says that was used."""
        if (answer := reported(error)) is not None:
            message: Any = answer.message
            self._tally.add(message.usage_metadata)
            self._note_tier(answer)

    def end(self, reason: str | None) -> None:
        """Take note of the provider's reason for the end, None where it has told none yet."""
        if reason is None:
            return
        self.ended, self.reason = True, reason
        try:
            judge(reason, self._provider_name)
        except (ContentRefused, ProviderDown) as error:
            self.wrong = self.wrong or error

    def _note_tier(self, generation: ChatGeneration) -> None:
        if generation.generation_info and (tier := generation.generation_info.pop(TIER, None)):
            self.tier = tier

    def _named(self, message: Any, info: dict[str, Any] | None) -> None:
        named = message.response_metadata.get("model_name") or (info or {}).get("model_name")
        self.model = named if isinstance(named, str) else self.model

    def live(self) -> None:
        """Something has come that shows the provider at work."""
        self.fresh = True
        if not self.alive:
            self.alive = True
            self.first_token_s = time.monotonic() - self._began

    def used(self, messages: list[Any], count: Counter) -> tuple[Usage, UsageMetadata | None]:
        """What the call used, as reported, with that; else counted here, as the output is of which only the input was told."""
        said = self.text + "".join(self._arguments)
        told = self.usage
        if told is not None and not told["output_tokens"] and said:
            told = self._tally.broken_off(count(said))
        usage = usage_of(told, messages, said, count)
        usage.estimated |= told != self.usage
        return usage, told


def _written(calls: Iterable[Any]) -> Iterator[str]:
    """The arguments of tool calls, as they are sent on."""
    return (json.dumps(call["args"], ensure_ascii=False, default=str) for call in calls)


def _check_characters(*texts: str) -> None:
    """Raises for half a character (a surrogate alone), which some readers of JSON let through and nobody can send on."""
    for text in texts:
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise unreadable() from error
