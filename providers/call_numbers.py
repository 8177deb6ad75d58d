"""Which pieces of a stream belong to one tool call."""

from collections.abc import Mapping
from typing import Any

import orjson
from langchain_core.outputs import ChatGenerationChunk

#: More than the number of a call has.
_DIGITS = 10


def place_of(index: object) -> int | None:
    """A piece's `index` as the number that it is, also where a server writes it as a text or a fraction (`"0"`, `0.0`), and
    changes between them within a stream; None for what is none."""
    if isinstance(index, str):
        return int(index) if index.isascii() and index.isdecimal() and len(index) < _DIGITS else None
    if isinstance(index, float):
        return int(index) if index.is_integer() else None
    return index if isinstance(index, int) and not isinstance(index, bool) else None


class CallNumbers:
    """Of one answer that comes in pieces: a number for each call, from 0 in the order in which they begin.

    OpenAI numbers its calls itself. Others give all of them the same `index` (Ollama), or none (Gemini's endpoint of OpenAI's
    protocol), and tell them apart by their ids; pieces that follow a call's first may have neither (seen November 2026).
    """

    __slots__ = ("_at", "_ids", "_last")

    def __init__(self) -> None:
        self._ids: list[str | None] = []
        self._at: dict[int, int] = {}  # which call goes on at the server's index
        self._last = -1

    def of(self, index: object, identity: object, name: object) -> int:
        """The number of the call that a piece with these fields belongs to. A name begins a call, an id that was not seen
        yet does only with one: some servers draw another id for each piece."""
        known = identity if isinstance(identity, str) and identity else None
        place = place_of(index)
        number = self._last if place is None else self._at.get(place, -1)
        if number < 0 and not (known or name) and self._last not in self._at.values():
            number = self._last  # a call that began without an index is gone on with at one
        if number < 0 or self._is_another(number, known, name, placed=place is not None):
            number = self._ids.index(known) if known in self._ids and known else self._begin()
        self._ids[number] = self._ids[number] or known
        if place is not None:
            self._at[place] = number
        self._last = number
        return number

    def renumber(self, chunk: ChatGenerationChunk) -> None:
        """Number the calls' pieces of a chunk."""
        pieces: list[dict[str, Any]] | None = getattr(chunk.message, "tool_call_chunks", None)
        for piece in pieces or ():
            number = self.of(piece.get("index"), piece.get("id"), piece.get("name"))
            piece["index"], known = number, self._ids[number]
            if piece.get("id") and piece["id"] != known:
                piece["id"] = None  # LangChain would take it for another call's

    def _is_another(self, number: int, known: str | None, name: object, *, placed: bool) -> bool:
        """Whether a piece belongs to another call than the one of this number, which goes on where it came."""
        begun = self._ids[number]
        if known is None:
            return bool(name) and not placed
        if known == begun:
            return False
        return known in self._ids or bool(name and begun is not None) or bool(name and not placed)

    def _begin(self) -> int:
        self._ids.append(None)
        return len(self._ids) - 1


def written(function: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a tool call's piece says of its function, with the arguments as text: some servers send them as an object."""
    told = dict(function or {})
    if "arguments" in told and not isinstance(told["arguments"], str | None):
        told["arguments"] = orjson.dumps(told["arguments"]).decode()
    return told
