"""Counting tokens without asking a provider: exact where the tokenizer is at hand, else an estimate by OpenAI's tables."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
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
    try:
        counted = tokenizer("o200k_base").count(sample)
    except UnicodeEncodeError:  # half of a surrogate pair
        counted = tokenizer("o200k_base").count(sample.encode(errors="replace").decode())
    return int(counted) * len(text) // len(sample)


@lru_cache(maxsize=4)
def tokenizer(encoding: str) -> Any:
    """One of OpenAI's tokenizers (`o200k_base`, `cl100k_base`), with `count`, `encode` and `decode`.

    It is bpe-openai's compiled part, loaded by itself in 60 ms. Importing the package reads the tables of every encoding
    into Python dictionaries as well: 1.1 s and 100 MB, within whichever request needs an estimate first.
    """
    package = find_spec("bpe_openai")
    folders = package.submodule_search_locations if package is not None else None
    compiled = next(
        (file for folder in folders or () for file in Path(folder).glob("_bindings.*") if file.suffix != ".pyi"), None
    )
    spec = spec_from_file_location("bpe_openai._bindings", compiled) if compiled is not None else None
    if spec is None or spec.loader is None:
        raise ImportError("bpe-openai has no compiled part")
    bindings = module_from_spec(spec)
    spec.loader.exec_module(bindings)
    return bindings.tokenizer_for_encoding(encoding)


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
