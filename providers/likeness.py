"""Which messages may mean the same: those whose vectors by the bundled embedding model are alike. `wording` decides."""

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from langchain_core.messages import BaseMessage, HumanMessage

from core.errors import Unavailable

#: Characters of a message that is compared at most, looked at before its tokens are counted.
MAX_CHARACTERS = 2000
KEY_BYTES = 16
_HEAD = struct.Struct(f"<{KEY_BYTES}sd")
#: How many of the likest are looked at, where the likest has gone or says something else.
CANDIDATES = 3


class Embeds(Protocol):
    """An embedding model that says how long a text is for it."""

    def embed_query(self, text: str) -> list[float]: ...

    def tokens(self, text: str) -> Sequence[tuple[int, int]]: ...


class Likeness:
    """Compares messages. `model` gives the embedding model at first use; `max_tokens` is what it reads of a text."""

    def __init__(self, model: Callable[[], Embeds], max_tokens: int) -> None:
        self._model = model
        self._max_tokens = max_tokens

    async def vector(self, text: str) -> bytes | None:
        """float16, normalised; None where the model would not read the text to its end, or is not there."""
        if len(text) > MAX_CHARACTERS:
            return None
        try:
            return await asyncio.to_thread(self._embed, text)
        except Unavailable:
            return None

    def _embed(self, text: str) -> bytes | None:
        model = self._model()
        if len(model.tokens(text)) > self._max_tokens - 2:  # two of them mark its start and end
            return None
        return np.asarray(model.embed_query(text), np.float16).tobytes()


def comparable(message: BaseMessage) -> str | None:
    """The text of a person's message; None for one that holds anything else, and for any other message."""
    if not isinstance(message, HumanMessage) or not isinstance(message.content, str) or not message.content.strip():
        return None
    return None if message.name or message.additional_kwargs else message.content


def record(key: bytes, expires: float, vector: bytes) -> bytes:
    """A vector and the entry that it belongs to, of the same length for each."""
    return _HEAD.pack(key, expires) + vector


def likest(records: bytes, vector: bytes, threshold: float, now: float) -> list[bytes]:
    """The keys of the likest entries that have not expired, the likest first."""
    size = _HEAD.size + len(vector)
    count = len(records) // size
    kind = np.dtype([("key", f"V{KEY_BYTES}"), ("expires", "<f8"), ("vector", np.float16, len(vector) // 2)])
    table = np.frombuffer(records, kind, count)
    scores = table["vector"].astype(np.float32) @ np.frombuffer(vector, np.float16).astype(np.float32)
    scores[table["expires"] <= now] = -1
    best = np.argsort(-scores, kind="stable")[:CANDIDATES]
    return [table["key"][index].tobytes() for index in best if scores[index] >= threshold]
