"""Reading a caller's code: in a child process that is killed when a parser takes too long or too much memory, or crashes.

Parsers are native code that holds the interpreter's lock, and some of their grammars never come back from a few characters.
What can not be found out in time is said openly: it never fails the request.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from chains.code.answers import Written, by_fences
from chains.code.faults import Fault
from chains.code.languages import known
from chains.code.outline import Definition
from chains.code.syntax import Problem
from core.child import ChildError, ChildKilled, ChildTimedOut, run_in_child

log = structlog.get_logger()

#: Seconds that one reading of code may take, and that it may wait for its turn besides. Most take milliseconds.
LONGEST_S = 5.0
WAIT_S = 10.0
#: How far it may grow the child's memory.
MEMORY_BYTES = 1 << 30
UNKNOWN = "no parser knows this language"


@dataclass(frozen=True, slots=True)
class Syntax:
    """Whether code parses, and where it does not. `valid` is None where nobody can tell, and `problems` says why: no parser
    knows the language (`unknown`), or it came to no end."""

    valid: bool | None
    problems: Sequence[Problem] = field(default_factory=list)
    unknown: bool = False


class _UnreadError(Exception):
    """The child gave nothing; the message says why, in words for the caller."""


async def syntax(code: str, language: str) -> Syntax:
    """Whether the code parses. May be repeated."""
    if code.strip() and language != "python" and language not in known():
        return Syntax(None, [Problem(1, UNKNOWN)], unknown=True)
    try:
        found: list[Problem] | None = await _read("chains.code.syntax:problems", code, language)
    except _UnreadError as unread:
        return Syntax(None, [Problem(1, str(unread))])
    if found is None:
        return Syntax(None, [Problem(1, UNKNOWN)], unknown=True)
    return Syntax(not found, found)


async def faults(code: str, language: str) -> list[Fault]:
    """What is wrong in code that parses, as far as it can be seen; one remark where it cannot."""
    place = "chains.code.static:python_faults" if language == "python" else "chains.code.foreign:grammar_faults"
    try:
        found: list[Fault] = await _read(place, code, *([] if language == "python" else [language]))
    except _UnreadError as unread:
        return [(1, "info", f"The code was not searched for faults: {unread}.")]
    return found


async def outline(code: str, language: str) -> list[Definition]:
    """What the code defines; empty where that cannot be found out."""
    found: list[Definition] | None = await _read_if_possible("chains.code.outline:outline", code, language)
    return found or []


async def told(code: str, language: str) -> list[str]:
    """What the code does as far as its grammar shows it, in sentences; empty where that cannot be found out."""
    found: list[str] | None = await _read_if_possible("chains.code.reading:told", code, language)
    return found or []


async def made_up(source: str, code: str) -> str | None:
    """What repaired Python uses that neither it nor its source has; None also where that cannot be found out."""
    found: str | None = await _read_if_possible("chains.code.keeping:made_up", source, code)
    return found


async def mended(code: str, language: str) -> str | None:
    """The code with the brackets, colons and quotes that it lacked; None where that is not all, or cannot be found out."""
    found: str | None = await _read_if_possible("chains.code.mending:mended", code, language)
    return found


async def unused(source: str, code: str, language: str) -> list[str]:
    """What the source defines, where the code uses none of it; empty where it does, and where that cannot be found out."""
    found: list[str] | None = await _read_if_possible("chains.code.references:unused", source, code, language)
    return found or []


async def without_doubles(source: str, code: str, language: str) -> tuple[str, list[str]]:
    """Tests without what they define again of the code that they are for, and the names of that; as they are where that cannot
    be found out."""
    found: tuple[str, list[str]] | None = await _read_if_possible("chains.code.testing:without_doubles", source, code, language)
    return found or (code, [])


async def mismatch(source: str, code: str, language: str) -> str | None:
    """What tests take the code to have that it has not; None also where that cannot be found out."""
    found: str | None = await _read_if_possible("chains.code.testing:mismatch", source, code, language)
    return found


async def code_lines(texts: Sequence[str], language: str) -> list[bool]:
    """Of each text whether it is a line of code, and no sentence; that none is where it cannot be found out."""
    found: list[bool] | None = await _read_if_possible("chains.code.prose:code_lines", list(texts), language)
    return found or [False] * len(texts)


async def detect(code: str) -> str | None:
    """The language that code seems to be written in; None when nothing tells, or not in time."""
    found: str | None = await _read_if_possible("chains.code.languages:detect", code)
    return found


async def answer(text: str, language: str) -> Written:
    """The code in a model's answer; where that cannot be parsed in time, as its fences alone tell it."""
    try:
        written: Written = await _read("chains.code.answers:read", text, language)
    except _UnreadError:
        return by_fences(text, language)
    return written


async def _read_if_possible(function: str, *args: Any) -> Any:
    """None where it came to nothing."""
    try:
        return await _read(function, *args)
    except _UnreadError:
        return None


async def _read(function: str, *args: Any) -> Any:
    try:
        async with asyncio.timeout(LONGEST_S + WAIT_S):
            return await run_in_child(function, *args, timeout_s=LONGEST_S, memory_bytes=MEMORY_BYTES, lane="code")
    except (ChildError, TimeoutError) as error:
        log.warning("code.unread", function=function, error=type(error).__name__, language=args[1] if len(args) > 1 else None)
        raise _UnreadError(_why(error)) from error


def _why(error: Exception) -> str:
    if isinstance(error, ChildTimedOut):
        return "it takes too long to parse"
    if isinstance(error, ChildKilled) and error.reason == "memory":
        return "it takes too much memory to parse"
    return "too much other code is being parsed" if isinstance(error, TimeoutError) else "its parser fails on it"
