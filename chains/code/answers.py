"""Reading a model's answer: which part of it is code, and which part is about the code."""

import re
from dataclasses import dataclass

from chains.code.languages import canonical
from chains.code.syntax import problems

_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
#: Lines that are dropped from either end of an unfenced answer, at most, to find the code in it.
_MOST_TRIMMED = 12


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote: the code, the fence's language (None without one) and the words round it."""

    code: str
    language: str | None
    words: str


def read(text: str, language: str) -> Written:
    """Find the code in an answer. A fence that was never closed counts; without one, the longest stretch that parses does."""
    blocks = list(_FENCE.finditer(text))
    if blocks:
        fitting = [block for block in blocks if block[2] and canonical(block[2]) == language]
        best = max(fitting or blocks, key=lambda block: len(block[3]))
        words = re.sub(r"\n{3,}", "\n\n", _FENCE.sub("\n", text)).strip()
        return Written(best[3].strip("\n").rstrip(), canonical(best[2]) if best[2] else None, words)
    return _without_fence(text, language)


def _without_fence(text: str, language: str) -> Written:
    lines = text.strip().splitlines()
    if problems("\n".join(lines), language) in ([], None):
        return Written("\n".join(lines), None, "")
    most = min(_MOST_TRIMMED, len(lines) - 1)
    for dropped in range(1, 2 * most + 1):
        for head in range(max(0, dropped - most), min(dropped, most) + 1):
            tail = dropped - head
            middle = lines[head : len(lines) - tail]
            if middle and problems("\n".join(middle), language) == [] and _looks_like_code(middle):
                return Written("\n".join(middle), None, "\n".join([*lines[:head], *lines[len(lines) - tail :]]).strip())
    return Written("\n".join(lines), None, "")


def _looks_like_code(lines: list[str]) -> bool:
    """Single words and empty lines parse in many languages, too."""
    return sum(bool(re.search(r"[(){}\[\]=:;]", line)) for line in lines) * 2 >= len([line for line in lines if line.strip()])
