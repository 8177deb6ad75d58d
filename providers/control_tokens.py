"""Text that a model would read as the end of a turn or the beginning of another one: kept the text that it is.

llama.cpp takes what looks like a control token in a message for that token, so that a question, or a document that is quoted
to the model, could speak as the system.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from providers.gguf import read_header

#: The kind of a vocabulary's token that stands for no text (`llama_token_type` of llama.cpp, 2025).
_CONTROL = 3


@lru_cache(maxsize=8)
def control_tokens(path: Path) -> re.Pattern[str] | None:
    """Finds the control tokens of a GGUF file's vocabulary; None where it has none. Blocking: some 0.1 s, once."""
    values = read_header(path).values
    kinds = zip(values.get("tokenizer.ggml.tokens", ()), values.get("tokenizer.ggml.token_type", ()), strict=False)
    tokens = sorted((token for token, kind in kinds if kind == _CONTROL and len(token) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, tokens))) if tokens else None


def as_text(messages: Sequence[BaseMessage], tokens: re.Pattern[str]) -> list[BaseMessage]:
    """The messages, with a space after the first character of what would be read as a control token."""
    return [_rewritten(message, tokens) for message in messages]


def _rewritten(message: BaseMessage, tokens: re.Pattern[str]) -> BaseMessage:
    update = {"content": _plain(message.content, tokens)}
    if isinstance(message, AIMessage) and message.tool_calls:
        update["tool_calls"] = _plain(message.tool_calls, tokens)
    same = all(getattr(message, name) == value for name, value in update.items())
    return message if same else message.model_copy(update=update)


def _plain(value: Any, tokens: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return tokens.sub(lambda found: f"{found[0][0]} {found[0][1:]}", value)
    if isinstance(value, list):
        return [_plain(each, tokens) for each in value]
    if isinstance(value, Mapping):
        return {name: _plain(each, tokens) for name, each in value.items()}
    return value
