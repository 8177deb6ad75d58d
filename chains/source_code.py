"""Passages of source code: what of them can be quoted, and how it stands in an answer: as it was written, fenced."""

import re
import textwrap
from typing import Final

from retrievers.base import Chunk
from retrievers.sniffing import language_of

#: Languages that hold data or prose: their lines read as text.
_NO_PROGRAMS: Final = frozenset({"ini", "toml", "yaml", "properties", "xml", "latex", "diff"})
_CHARACTERS: Final = 600
_BLOCK: Final = re.compile(r"[^\n]*\S[^\n]*(?:\n[^\n]*\S[^\n]*)*")


def program_of(chunk: Chunk) -> str:
    """The language of the program that a chunk is of, as fences name it; empty where it is of none."""
    language = language_of(chunk.document) or ""
    return "" if language in _NO_PROGRAMS else language


def stretches(text: str) -> list[tuple[int, int]]:
    """The spans of what stands between blank lines; a long one is cut between lines."""
    found = []
    for block in _BLOCK.finditer(text):
        start, end = block.span()
        while end - start > _CHARACTERS:
            cut = text.rfind("\n", start + 1, start + _CHARACTERS)
            if cut < 0:
                break
            found.append((start, cut))
            start = cut + 1
        found.append((start, end))
    return found


def fenced(text: str, language: str) -> str:
    """Code as Markdown shows it, without the indentation that all of its lines share."""
    mark = "~~~" if "```" in text else "```"
    return f"{mark}{language}\n{textwrap.dedent(text).rstrip()}\n{mark}"
