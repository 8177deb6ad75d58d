"""A kept answer: the chunks of a stream as bytes, and back.

Pieces of mere text that follow each other are kept as one and cut into pieces again when they are given. All else of a chunk
is kept as it was, so that a replay adds up to what the provider's own stream added up to. Plain JSON: nothing that is read
back can name a class.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from core.context import Usage
from providers.collecting import finish_reason

#: Of another form, an entry is not read.
FORM = 2
#: Characters of a piece at least, and pieces of a text at most: a replay costs some 30 µs a piece.
_PIECE, _PIECES = 24, 32
#: What LangChain lets stand in every chunk of a stream without adding it up.
_REPEATABLE = frozenset({"model_provider", "output_version"})
#: Ends of an answer that say that it is whole, as the clouds name them (November 2026): OpenAI, Anthropic and Bedrock, Gemini,
#: Cohere, Ollama.
_WHOLE = frozenset(
    {"stop", "end_turn", "stop_sequence", "complete", "tool_calls", "tool_use", "function_call", "eos", "eos_token"}
)
#: It was as long as the caller had said that it may be.
_AT_ITS_LIMIT = frozenset({"length", "max_tokens"})


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer, who gave it, what it took, and when (seconds since 1970). `asked`: the message that it answers, where it may
    be given to another that means the same."""

    chunks: Sequence[dict[str, Any]]
    provider: str
    model: str
    usage: Usage
    at: float
    asked: str | None = None
    #: None where no price was known.
    cost_usd: Decimal | None = None

    def dump(self) -> bytes:
        """As bytes.

        Raises:
            TypeError: something in it has no JSON.
        """
        cost = None if self.cost_usd is None else str(self.cost_usd)
        usage = [self.usage.input_tokens, self.usage.output_tokens, self.usage.estimated, cost]
        who = [self.provider, self.model]
        return orjson.dumps([FORM, who, usage, self.at, self.asked, self.chunks])

    def answer(self) -> Iterator[ChatGenerationChunk]:
        """The answer as a stream."""
        for fields in self.chunks:
            text = fields["message"]["content"]
            if fields.get("cut"):
                size = max(_PIECE, -(-len(text) // _PIECES))
                for start in range(0, len(text), size):
                    yield _chunk({**fields["message"], "content": text[start : start + size]}, None)
            else:
                yield _chunk(fields["message"], fields.get("info"))


def read(data: bytes) -> Kept | None:
    """The answer in `data`; None where it is of another form."""
    try:
        form, (provider, model), (given, made, estimated, cost), at, asked, chunks = orjson.loads(data)
        cost_usd = None if cost is None else Decimal(cost)
    except (ValueError, TypeError, InvalidOperation):
        return None
    return Kept(chunks, provider, model, Usage(given, made, estimated), at, asked, cost_usd) if form == FORM else None


def compact(chunks: Sequence[ChatGenerationChunk]) -> list[dict[str, Any]]:
    """The chunks of an answer in the form that is kept."""
    kept: list[dict[str, Any]] = []
    for chunk in chunks:
        for fields in _parts(chunk):
            before = kept[-1] if kept else {}
            if fields.get("cut") and before.get("cut") and _all_but_content(before) == _all_but_content(fields):
                before["message"]["content"] += fields["message"]["content"]
            else:
                kept.append(fields)
    return kept


def worth_keeping(chunks: Sequence[ChatGenerationChunk], *, limited: bool) -> bool:
    """Whether an answer may be given again: it says something, was not refused, and ended as it should. `limited`: the caller
    said how long it may be, so that one of that length is whole."""
    finish = [end for chunk in chunks if (end := finish_reason(chunk)) is not None]
    says = any(chunk.message.content or getattr(chunk.message, "tool_call_chunks", None) for chunk in chunks)
    refused = any(chunk.message.additional_kwargs.get("refusal") for chunk in chunks)
    good = _WHOLE | _AT_ITS_LIMIT if limited else _WHOLE
    return bool(finish) and says and not refused and all(end.lower() in good for end in finish)


def _parts(chunk: ChatGenerationChunk) -> Iterator[dict[str, Any]]:
    """A chunk in the form that is kept: its text by itself, where it is long or all there is, then the rest."""
    message: Any = chunk.message
    fields: dict[str, Any] = {"content": message.content}
    for name in ("id", "additional_kwargs", "response_metadata", "tool_call_chunks", "usage_metadata", "chunk_position"):
        if value := getattr(message, name, None):
            fields[name] = value
    metadata = {name: value for name, value in message.response_metadata.items() if name in _REPEATABLE}
    rest = fields.keys() - {"content", "id", "response_metadata"} or message.response_metadata.keys() - _REPEATABLE
    info = chunk.generation_info
    if isinstance(message.content, str) and message.content and (len(message.content) > _PIECE or not (rest or info)):
        text = {"content": message.content, "id": message.id, "response_metadata": metadata}
        yield {"message": {name: value for name, value in text.items() if value}, "cut": True}
        fields["content"] = ""
        if not (rest or info):
            return
    yield {"message": fields, "info": info} if info else {"message": fields}


def _all_but_content(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields["message"].items() if name != "content"}


def _chunk(message: dict[str, Any], info: dict[str, Any] | None) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(**message), generation_info=info)
