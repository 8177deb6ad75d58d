"""Reading a model's answer: which part of it is code, and which part is about the code."""

import re
from dataclasses import dataclass

from chains.code.spellings import canonical
from chains.code.syntax import problems

_FENCE = re.compile(r"[ \t]*(```+|~~~+)[ \t]*([\w+#.-]*)[^\n`~]*")
#: A fence closed at the end of the code's last line, or right behind it.
_CLOSED_BEHIND = re.compile(r"(.*\S)[ \t]*```[ \t]*")
#: Lines that are dropped from either end of an unfenced answer, at most, to find the code in it.
_MOST_TRIMMED = 12


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote: the code, the fence's language (None without one) and the words round it."""

    code: str
    language: str | None
    words: str


def read(text: str, language: str) -> Written:
    """Find the code in an answer. A fence that was never opened or closed counts; without one, the longest stretch that parses
    does."""
    blocks, before, words = _fenced(text)
    if not blocks:
        return _without_fence(text, language)
    if len(blocks) == 1 and not blocks[0].closed and not blocks[0].language and _comes_first(before, blocks[0].code, language):
        # what looks like an opening was the end of code that nothing opened
        return Written(before, None, blocks[0].code.strip())
    fitting = [block for block in blocks if block.language == language]
    best = max(fitting or blocks, key=lambda block: len(block.code))
    return Written(best.code, best.language, words)


def by_fences(text: str, language: str) -> Written:
    """`read` without a look into what is written: the longest closed block, or all of an answer that has none."""
    blocks, _, words = _fenced(text)
    closed = [block for block in blocks if block.closed]
    if not closed:
        return Written(text.strip(), None, "")
    best = max(closed, key=lambda block: (block.language == language, len(block.code)))
    return Written(best.code, best.language, words)


@dataclass(frozen=True, slots=True)
class _Block:
    code: str
    language: str | None
    closed: bool


def _fenced(text: str) -> tuple[list[_Block], str, str]:
    """The fenced blocks, what stands before the first, and all that stands outside of them. A fence that names a language
    inside an open block ends that one; it begins another where that is closed in turn."""
    lines = text.splitlines()
    marks = [number for number, line in enumerate(lines) if _FENCE.fullmatch(line)]
    blocks: list[_Block] = []
    outside: list[str] = []
    opened: tuple[str, str | None, list[str]] | None = None
    before = "\n".join(lines[: marks[0]]).strip() if marks else ""
    for number, line in enumerate(lines):
        fence, later = _FENCE.fullmatch(line), bool(marks) and marks[-1] > number
        if opened is None:
            if fence and (later or number + 1 < len(lines)):
                opened = (fence[1], canonical(fence[2]) if fence[2] else None, [])
                outside.append("")
            elif not fence:
                outside.append(line)
            continue
        mark, named, code = opened
        behind = None if later or mark[0] != "`" else _CLOSED_BEHIND.fullmatch(line)
        if not (fence and fence[1].startswith(mark)) and not behind:
            code.append(line)
            continue
        code += [behind[1]] if behind and not fence else []
        blocks.append(_Block("\n".join(code).strip("\n").rstrip(), named, closed=True))
        opened = (fence[1], canonical(fence[2]), []) if fence and fence[2] and later else None
    if opened is not None:
        blocks.append(_Block("\n".join(opened[2]).strip("\n").rstrip(), opened[1], closed=False))
    return blocks, before, re.sub(r"\n{3,}", "\n\n", "\n".join(outside)).strip()


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


def _comes_first(before: str, behind: str, language: str) -> bool:
    """Whether what stands before a fence is the code, and not what stands behind it: code that does not parse is code, too."""
    if problems(before, language) == [] or before.startswith("#!"):
        return True
    # prose parses nowhere but where everything does
    return _looks_like_code(before.splitlines()) and not _looks_like_code(behind.splitlines()) if before and behind else False


def _looks_like_code(lines: list[str]) -> bool:
    """Single words and empty lines parse in many languages, too."""
    return sum(bool(re.search(r"[(){}\[\]=:;]", line)) for line in lines) * 2 >= len([line for line in lines if line.strip()])
