"""What has come of one call of a deployment, and whether it shows that the provider is at work."""

import time
from typing import Any

from langchain_core.outputs import ChatGenerationChunk

from core.context import Usage
from providers.collecting import THINKS, finish_reason
from providers.metering import usage_of
from providers.neutral import refused
from providers.tokens import Counter

#: The reason for the end of an answer that the provider's policy ended: a part of one is no success.
WITHHELD = "content_filter"


class Received:
    """Of a call that begins with `begin`.

    `told`: anything of the answer has come. `ended`: the provider has named a reason for its end. `alive`: it has told
    something, or thinks; `first_token_s` after so many seconds. `fresh`: it has since that was last asked. `usage` is what the
    provider reported, as LangChain has it.
    """

    __slots__ = (
        "_arguments",
        "_began",
        "_pieces",
        "_provider_name",
        "alive",
        "ended",
        "first_token_s",
        "fresh",
        "only_text",
        "told",
        "usage",
    )

    def __init__(self, provider_name: str) -> None:
        self._provider_name = provider_name
        self._pieces: list[str] = []
        self._arguments: list[str] = []
        self._began = 0.0
        self.told = self.ended = self.alive = self.fresh = False
        self.only_text = True
        self.first_token_s: float | None = None
        self.usage: Any = None

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
        """Raises ContentRefused: the provider's policy ended the answer."""
        message: Any = chunk.message
        text = chunk.text
        thinks = chunk.generation_info and chunk.generation_info.pop(THINKS, False)
        if reason := finish_reason(chunk):
            if reason == WITHHELD:
                raise refused([WITHHELD])
            self.ended = True
            message.response_metadata["provider"] = self._provider_name
        if text:
            self._pieces.append(text)
        self._arguments += [call["args"] or "" for call in message.tool_call_chunks]
        if text or message.content or message.tool_call_chunks or message.additional_kwargs:
            self.told = True
            self.live()
        elif thinks:
            self.live()
        if message.tool_call_chunks or (message.content and not text):
            self.only_text = False
        if message.usage_metadata:
            self.usage = message.usage_metadata

    def live(self) -> None:
        """Something has come that shows the provider at work."""
        self.fresh = True
        if not self.alive:
            self.alive = True
            self.first_token_s = time.monotonic() - self._began

    def used(self, messages: list[Any], count: Counter) -> Usage:
        """What the call used, as reported; else counted here."""
        return usage_of(self.usage, messages, self.text + "".join(self._arguments), count)
