"""Whole numbers in Gemini's tool arguments, which come through protobuf's `Struct`: it knows floats alone."""

from typing import Any

import orjson
from langchain_core.outputs import ChatGeneration

#: Beyond it a float does not hold every whole number, and what was meant is not known.
_EXACT = 2**53


def whole_numbers(value: Any) -> Any:
    """The same with `1.0` as `1`, which a JSON schema takes for an `integer` and for a `number`."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if isinstance(value, dict):
        return {name: whole_numbers(item) for name, item in value.items()}
    return [whole_numbers(item) for item in value] if isinstance(value, list) else value


def with_whole_numbers(generation: ChatGeneration) -> None:
    """Change the arguments of an answer's calls, or of a chunk's, wherever LangChain keeps them."""
    message: Any = generation.message
    for call in message.tool_calls:
        call["args"] = whole_numbers(call["args"])
    for piece in getattr(message, "tool_call_chunks", ()):
        piece["args"] = _rewritten(piece["args"])
    if function := message.additional_kwargs.get("function_call"):
        function["arguments"] = _rewritten(function["arguments"])


def _rewritten(arguments: str) -> str:
    return orjson.dumps(whole_numbers(orjson.loads(arguments))).decode()


def seed_of(seed: int) -> int:
    """A seed in the 31 bits that Gemini takes: the same for the same."""
    return seed & 0x7FFFFFFF
