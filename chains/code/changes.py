"""What a repair changed, line by line: read from the two texts, so that it holds whatever a model says of its work."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from pydantic import BaseModel, Field

#: Code of more lines is not compared: it takes time by the square of them.
_MOST_LINES = 1000
#: Changes that are put into words, at most, and characters of a line in them.
_MOST_TOLD, _MOST_QUOTED = 3, 80
_CLOSER = re.compile(r"(?:[\s)\]}]|end|fi|done|esac)+")


class Change(BaseModel):
    """A stretch of code that became another."""

    line: int = Field(
        description="where it begins in the code as it was given; for lines added, the line behind which they are"
    )
    before: list[str] = Field(description="the lines as they were; empty where lines were added")
    after: list[str] = Field(description="the lines that took their place; empty where they were removed")


def changes(source: str, code: str) -> list[Change] | None:
    """From one text to the other, in order; white space at a line's end is not looked at. None where they are too long."""
    was, is_now = ([line.rstrip() for line in text.strip("\n").splitlines()] for text in (source, code))
    skipped = len(source) - len(source.lstrip("\n"))
    if max(len(was), len(is_now)) > _MOST_LINES:
        return None
    return [
        Change(line=skipped + begin + (begin < end), before=was[begin:end], after=is_now[first:last])
        for kind, begin, end, first, last in SequenceMatcher(None, was, is_now, autojunk=False).get_opcodes()
        if kind != "equal"
    ]


def told(found: Sequence[Change]) -> str:
    """The changes in words."""
    if not found:
        return "Nothing was changed."
    words = [_told(change) for change in found[:_MOST_TOLD]]
    left = len(found) - len(words)
    return " ".join([*words, f"{left} more {'changes' if left > 1 else 'change'}."] if left else words)


def _told(change: Change) -> str:
    was, is_now = len(change.before), len(change.after)
    if not was:
        new = f"{_quoted(change.after[0])} is" if is_now == 1 else f"{is_now} lines are"
        return f"Behind line {change.line}, {new} new." if change.line else f"Before the first line, {new} new."
    if [line.strip() for line in change.before] == [line.strip() for line in change.after]:
        where = f"Line {change.line}, {_quoted(change.before[0])}, is" if was == 1 else f"{_lines(change)} are"
        return f"{where} indented by {_margin(change.after[0])} now, in place of {_margin(change.before[0])}."
    if was == 1:
        where = f"Line {change.line}, {_quoted(change.before[0])},"
        if is_now == 1:
            return f"{where} is now {_quoted(change.after[0])}."
        return f"{where} is now {is_now} lines." if is_now else f"{where} is gone."
    where = _lines(change)
    return f"{where} are now {'one line' if is_now == 1 else f'{is_now} lines'}." if is_now else f"{where} are gone."


def _lines(change: Change) -> str:
    return f"Lines {change.line} to {change.line + len(change.before) - 1}"


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip())


def _quoted(line: str) -> str:
    line = line.strip()
    if not line:
        return "an empty line"
    return f"`{line}`" if len(line) <= _MOST_QUOTED else f"`{line[:_MOST_QUOTED]}…`"


def places_blocks(found: Sequence[Change]) -> bool:
    """Whether a change says where a block ends: by indentation alone, or by what closes one on a line of its own."""
    return any(
        _CLOSER.fullmatch("".join(change.after))
        if not change.before
        else [line.strip() for line in change.before] == [line.strip() for line in change.after]
        for change in found
    )
