"""Putting in what code lacks to be parsed: a bracket, a colon, a quote. What its parser asks for is tried, and taken where it
then parses. No model is asked, and nothing else of the program changes."""

import ast
import re
import warnings
from collections.abc import Iterator
from itertools import islice

from chains.code.syntax import Problem, problems
from chains.code.trees import nodes, parsed

#: Places where something is put in, at most. A program that lacks more is none that a parser understands.
_MOST = 5
#: Ways that are tried for each of them: every one is parsed.
_MOST_TRIED = 60
_CLOSES = {"(": ")", "[": "]", "{": "}"}
#: Lines behind the one of an open bracket at whose end its fellow is tried.
_LINES_BEHIND = 3
#: What stands behind a bracket that is missed, or a quote, at a line's end.
_BEHIND = re.compile(r"[\s;:,{]*$")
_BEHIND_TEXT = re.compile(r"[\s;:,)\]}]*$")
_STRING = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|//[^\n]*|/\*.*?\*/", re.S)
_PRINTED = re.compile(r"^(\s*)print\s+(.+?)\s*$")


def mended(code: str, language: str) -> str | None:
    """The code with what it lacked; None where it lacks nothing, and where it does not parse with that either.

    As `syntax.problems`, it is run by `chains.code.parsing`.
    """
    found = problems(code, language)
    if not found or not code.strip():
        return None
    for _ in range(_MOST):
        better = _better(code, language, found)
        if better is None:
            return None
        code, found = better
        if not found:
            return code
    return None


def _better(code: str, language: str, found: list[Problem]) -> tuple[str, list[Problem]] | None:
    """The first that parses, else the one that parses farthest, if that is farther than before."""
    tried: list[tuple[str, list[Problem]]] = []
    ways = _python(code) if language == "python" else _by_grammar(code, language)
    for candidate in dict.fromkeys(islice(ways, _MOST_TRIED)):
        left = problems(candidate, language)
        if left is None:
            continue
        if not left:
            return candidate, left
        tried.append((candidate, left))
    best = max(tried, key=lambda one: _farther(one[1]), default=None)
    return best if best is not None and _farther(best[1]) > _farther(found) else None


def _farther(found: list[Problem]) -> tuple[int, int]:
    return found[0].line, -len(found)


def _python(code: str) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except SyntaxError as error:
        said, row, column = str(error.msg), (error.lineno or 1) - 1, max(0, (error.offset or 1) - 1)
    except (ValueError, RecursionError, MemoryError):
        return
    else:
        return
    lines = code.splitlines()
    if row >= len(lines):
        return
    line = lines[row]
    if said == "expected ':'":
        end = len(line[:column].rstrip())
        yield _with(lines, row, line[:end] + ":" + line[end:])
        yield _with(lines, row, line.rstrip() + ":")
    elif said.endswith("was never closed"):
        yield from _closed(lines, row, _CLOSES.get(line[column : column + 1], ")"))
    elif said.startswith("unterminated string literal"):
        quote = next((mark for mark in line[column : column + 3] if mark in "'\""), "'")
        yield from _ended(lines, row, quote)
    elif "Maybe you meant '=='" in said:
        yield _with(lines, row, line[:column] + line[column:].replace("=", "==", 1))
    elif said.startswith("Missing parentheses in call to 'print'"):
        yield _with(lines, row, _PRINTED.sub(r"\1print(\2)", line))
    yield from _brackets(code, lines)


def _by_grammar(code: str, language: str) -> Iterator[str]:
    data = code.encode("utf-8", "replace")
    for node in nodes(parsed(code, language), enters=lambda node: node.has_error):
        if node.is_missing and not re.search(r"\w", node.type):
            yield (data[: node.start_byte] + node.type.encode() + data[node.start_byte :]).decode("utf-8", "replace")
    lines = code.splitlines()
    yield from _brackets(code, lines)
    for row, line in enumerate(lines):
        for quote in "'\"":
            if line.count(quote) % 2:
                yield from _ended(lines, row, quote)


def _brackets(code: str, lines: list[str]) -> Iterator[str]:
    for row, opened in _open(code):
        yield from _closed(lines, row, _CLOSES[opened])


def _open(code: str) -> list[tuple[int, str]]:
    """The brackets that nothing closes, the last first: the row, and which it is."""
    bare = _STRING.sub(lambda text: re.sub(r"[^\n]", " ", text[0]), code)
    standing: list[tuple[int, str]] = []
    row = 0
    for character in bare:
        row += character == "\n"
        if character in _CLOSES:
            standing.append((row, character))
        elif character in _CLOSES.values() and standing and _CLOSES[standing[-1][1]] == character:
            standing.pop()
    return standing[::-1][:_MOST]


def _closed(lines: list[str], row: int, mark: str) -> Iterator[str]:
    for at in range(row, min(len(lines), row + 1 + _LINES_BEHIND)):
        place = _BEHIND.search(lines[at])
        end = place.start() if place else len(lines[at])
        yield _with(lines, at, lines[at][:end] + mark + lines[at][end:])
        yield _with(lines, at, lines[at] + mark)
    yield "\n".join([*lines, mark])


def _ended(lines: list[str], row: int, quote: str) -> Iterator[str]:
    line = lines[row]
    place = _BEHIND_TEXT.search(line)
    end = place.start() if place else len(line)
    yield _with(lines, row, line[:end] + quote + line[end:])
    yield _with(lines, row, line.rstrip() + quote)


def _with(lines: list[str], row: int, line: str) -> str:
    return "\n".join([*lines[:row], line, *lines[row + 1 :]])
