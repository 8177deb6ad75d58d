"""Counting tokens without asking a provider: exact where the tokenizer is at hand, else an estimate by OpenAI's tables."""

import re
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

Counter = Callable[[str], int]
#: Role and delimiters around a message; OpenAI's cookbook counts 3 and ChatML 4 to 5 (2025).
TOKENS_PER_MESSAGE = 4
#: OpenAI bills a high-detail image of middle size at 765 tokens (2025); other providers are near.
TOKENS_PER_IMAGE = 765
#: Beyond this many characters a text is counted by its density rather than encoded whole.
_ENCODED_CHARACTERS = 200_000


def estimate(text: str) -> int:
    """Tokens of a text by OpenAI's o200k table; other models' counts are within some ten to twenty per cent."""
    sample = text[:_ENCODED_CHARACTERS]
    if not sample:
        return 0
    return len(_o200k().encode_ordinary(sample)) * len(text) // len(sample)


@lru_cache(maxsize=1)
def _o200k() -> Any:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # it reads its tables in an old way
        import bpe_openai

        return bpe_openai.get_encoding("o200k_base")


_PIECE = re.compile(r"\w{1,4}|[^\w\s]")


def pieces(text: str) -> list[tuple[int, int]]:
    """Offsets of pieces about as long as tokens, for a tokenizer that is not at hand."""
    return [match.span() for match in _PIECE.finditer(text)]


def count_messages(messages: Sequence[BaseMessage], count: Counter) -> int:
    """Tokens of a conversation as a prompt: its texts, its tool calls, its images and what stands around each message."""
    return sum(TOKENS_PER_MESSAGE + _count_content(message, count) for message in messages)


def _count_content(message: BaseMessage, count: Counter) -> int:
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    tokens = sum(count(call["name"] + str(call["args"])) for call in calls)
    if isinstance(message.content, str):
        return tokens + count(message.content)
    for block in message.content:
        if isinstance(block, str):
            tokens += count(block)
        elif block.get("type") == "text":
            tokens += count(str(block.get("text", "")))
        elif "image" in str(block.get("type")):
            tokens += TOKENS_PER_IMAGE
    return tokens
