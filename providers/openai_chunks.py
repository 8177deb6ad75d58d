"""The events of an OpenAI stream as LangChain's chunks.

A piece of text and nothing else, which nearly every event is, costs 15 µs through langchain-openai's converter, most of it
pydantic's validation of what we have just made. Such a chunk is copied from one that the converter made. A contract test holds
every chunk equal to the converter's, field by field.
"""

from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from openai.types.chat.chat_completion import ChoiceLogprobs

from providers.call_numbers import CallNumbers

#: What the SDK's types add to log probabilities.
LOGPROBS_FIELDS = dict.fromkeys(ChoiceLogprobs.model_fields)
_OF_TEXT = frozenset({"role", "content", "refusal"})
_set = object.__setattr__


class Chunks:
    """Converts the events of one stream, in order."""

    __slots__ = ("_convert", "_kind", "_message", "_numbers")

    def __init__(self, model: Any) -> None:
        self._convert = model._convert_chunk_to_generation_chunk  # noqa: SLF001 - held by a contract test
        self._kind: type[BaseMessageChunk] = AIMessageChunk
        self._message: dict[str, Any] | None = None
        self._numbers: dict[int, CallNumbers] = {}  # by choice

    def convert(self, event: dict[str, Any]) -> ChatGenerationChunk | None:
        """The chunk of an event, None where it says nothing. Where an answer has several choices, each chunk of another than
        the first names it in `generation_info["choice"]`."""
        text = _text_alone(event)
        if text is not None and self._message is not None:
            return self._copy(text)
        choices = event.get("choices")
        if choices:
            choices[0].setdefault("delta", None)  # the SDK's types add it, and LangChain passes over such an event
        if choices and choices[0].get("logprobs"):
            choices[0]["logprobs"] = LOGPROBS_FIELDS | choices[0]["logprobs"]
        chunk: ChatGenerationChunk | None = self._convert(event, self._kind, {})
        if chunk is None:
            return None
        self._kind = type(chunk.message)
        if text is not None and type(chunk.message) is AIMessageChunk:
            self._message = dict(chunk.message.__dict__)
        if choices and (index := choices[0].get("index")):
            chunk.generation_info = {**(chunk.generation_info or {}), "choice": index}
        if choices and getattr(chunk.message, "tool_call_chunks", None):
            self._numbers.setdefault(choices[0].get("index") or 0, CallNumbers()).renumber(chunk)
        return chunk

    def merged(self, events: list[dict[str, Any]]) -> Iterator[ChatGenerationChunk]:
        """The chunks of events that arrived together, pieces of text that follow each other in one chunk."""
        waiting: list[str] = []
        for event in events:
            text = _text_alone(event)
            if text is not None and self._message is not None:
                waiting.append(text)
                continue
            if waiting:
                yield self._copy("".join(waiting))
                waiting.clear()
            if (chunk := self.convert(event)) is not None:
                yield chunk
        if waiting:
            yield self._copy("".join(waiting))

    def _copy(self, text: str) -> ChatGenerationChunk:
        """A chunk of text as the converter makes it."""
        message = AIMessageChunk.__new__(AIMessageChunk)
        fields = {
            **(self._message or {}),
            "content": text,
            "additional_kwargs": {},
            "response_metadata": {"model_provider": "openai"},
            "tool_calls": [],
            "invalid_tool_calls": [],
            "tool_call_chunks": [],
        }
        _set(message, "__dict__", fields)
        _set(message, "__pydantic_fields_set__", {"content", "additional_kwargs", "id", "tool_call_chunks"})
        _set(message, "__pydantic_extra__", {})
        _set(message, "__pydantic_private__", None)
        chunk = ChatGenerationChunk.__new__(ChatGenerationChunk)
        _set(chunk, "__dict__", {"text": text, "generation_info": None, "type": "ChatGenerationChunk", "message": message})
        _set(chunk, "__pydantic_fields_set__", {"text", "message", "generation_info"})
        _set(chunk, "__pydantic_extra__", None)
        _set(chunk, "__pydantic_private__", None)
        return chunk


def _text_alone(event: dict[str, Any]) -> str | None:
    """The text of an event that carries a piece of the first choice's and nothing else; None for any other event."""
    choices = event.get("choices")
    if not choices or len(choices) != 1 or event.get("usage") or "type" in event:
        return None
    choice = choices[0]
    delta = choice.get("delta")
    if not delta or choice.get("finish_reason") or choice.get("logprobs") or choice.get("index"):
        return None
    text = delta.get("content")
    if (
        type(text) is not str
        or delta.get("refusal")
        or not delta.keys() <= _OF_TEXT
        or delta.get("role", "assistant") not in ("assistant", None)
    ):
        return None
    return text
