"""Putting in what code lacks to be parsed: a bracket, a colon, a quote, a block's indentation, the word that ends it. What its
parser asks for is tried, and taken where it then parses. No model is asked, and nothing else of the program changes."""

import ast
import re
import warnings
from collections.abc import Iterator
from itertools import islice

from chains.code.bare import bare
from chains.code.closing import closed
from chains.code.indenting import indented
from chains.code.syntax import LOOSE_COMMA, Problem, problems
from chains.code.trees import nodes, parsed

#: Places where something is put in, at most. A program that lacks more is none that a parser understands.
_MOST = 8
#: Ways that are tried for each of them: every one is parsed.
_MOST_TRIED = 60
_CLOSES = {"(": ")", "[": "]", "{": "}"}
#: Lines behind the one of an open bracket at whose end its fellow is tried.
_LINES_BEHIND = 3
#: What stands behind a bracket that is missed, or a quote, at a line's end.
_BEHIND = re.compile(r"[\s;:,{]*$")
_BEHIND_TEXT = re.compile(r"[\s;:,)\]}]*$")
_PRINTED = re.compile(r"^(\s*)print\s+((?:[^#'\"]|'[^']*'|\"[^\"]*\")+?)(\s*(?:#.*)?)$")
_ENDED_BY_SEMICOLON = frozenset(("java", "c", "cpp", "csharp", "rust", "php", "javascript", "typescript"))
_UNENDED = re.compile(r"[\w)\]\"'}]\s*$")
#: Go ends a statement with the line: its block has to begin on the line of its `for`.
_BRACE_BELOW = re.compile(r"(?<=[^\s{};])[ \t]*\n\s*\{")


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
    yield from _asked_for(code, lines, (row, column), said)
    yield from indented(lines, row, said)
    yield from _brackets(code, "python")


def _asked_for(code: str, lines: list[str], at: tuple[int, int], said: str) -> Iterator[str]:
    """What Python's own message names."""
    row, column = at
    line = lines[row]
    if said == "expected ':'":
        end = len(line[:column].rstrip())
        yield _with(lines, row, line[:end] + ":" + line[end:])
        yield _with(lines, row, line.rstrip() + ":")
    elif said.endswith("was never closed"):
        if (whole := closed(code, "python")) is not None:
            yield whole
        yield from _closed(lines, row, _CLOSES.get(line[column : column + 1], ")"))
    elif said.startswith("unterminated string literal"):
        quote = next((mark for mark in line[column : column + 3] if mark in "'\""), "'")
        yield from _ended(lines, row, quote)
    elif "Maybe you meant '=='" in said:
        yield _with(lines, row, line[:column] + line[column:].replace("=", "==", 1))
    elif said.startswith("Missing parentheses in call to 'print'"):
        yield _with(lines, row, _PRINTED.sub(r"\1print(\2)\3", line))
    elif said.startswith("f-string: expecting '}'"):
        for end in [match.start() for match in re.finditer(r"[\"']", line)][::-1]:
            yield _with(lines, row, line[:end] + "}" + line[end:])


def _by_grammar(code: str, language: str) -> Iterator[str]:
    if (whole := closed(code, language)) is not None:
        yield whole
    yield from _missed(code, language)
    plain = bare(code, language)
    if language == "go":
        for below in _BRACE_BELOW.finditer(plain):
            yield code[: below.start()] + " {" + code[below.end() :]
    yield from _brackets(code, language)
    if language in ("sql", "json"):
        for comma in LOOSE_COMMA.finditer(plain):
            yield code[: comma.start()] + code[comma.end() :]
    lines = code.splitlines()
    if language in _ENDED_BY_SEMICOLON:
        for row in dict.fromkeys(max(0, one.line - back) for one in problems(code, language) or [] for back in (1, 2)):
            if row < len(lines) and _UNENDED.search(lines[row]):
                yield _with(lines, row, lines[row].rstrip() + ";")
    for row, line in enumerate(lines):
        for quote in "'\"":
            if line.count(quote) % 2:
                yield from _ended(lines, row, quote)


def _missed(code: str, language: str) -> Iterator[str]:
    """What the grammar itself asks for. A brace that it wants at the very end belongs on a line of its own where its fellow
    ends a line, and that is for `_brackets` to put in."""
    data = code.encode("utf-8", "replace")
    standing, _ = _open(plain := bare(code, language))
    ends_line = bool(standing) and plain.splitlines()[standing[0][0]].rstrip().endswith("{")
    for node in nodes(parsed(code, language), enters=lambda node: node.has_error):
        wanted = node.is_missing and not re.search(r"\w", node.type)
        if wanted and (node.type != "}" or not ends_line or data[node.start_byte :].strip()):
            yield (data[: node.start_byte] + node.type.encode() + data[node.start_byte :]).decode("utf-8", "replace")


def _brackets(code: str, language: str) -> Iterator[str]:
    lines = code.splitlines()
    plain = bare(code, language)
    standing, crossed = _open(plain)
    for at, mark in crossed:
        if mark:
            yield code[:at].rstrip() + mark + code[at:]
        yield code[:at] + mark + code[at + 1 :]
    bared = plain.splitlines()
    for row, opened in standing:
        if language != "python" and bared[row].rstrip().endswith(opened):
            # where it ends is for `closed` to say: any place behind it would parse
            yield "\n".join([*lines, _CLOSES[opened]])
        else:
            yield from _closed(lines, row, _CLOSES[opened])


def _open(plain: str) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """The brackets that nothing closes, the last first: the row, and which it is. And what closes another kind's bracket, or
    none: the place, and what belongs there."""
    standing: list[tuple[int, str]] = []
    lost: list[tuple[int, str]] = []
    crossed: list[tuple[int, str]] = []
    row = 0
    for at, character in enumerate(plain):
        row += character == "\n"
        if character in _CLOSES:
            standing.append((row, character))
        elif character in _CLOSES.values():
            if standing and _CLOSES[standing[-1][1]] != character and standing[-1][0] == row:
                crossed.append((at, _CLOSES[standing[-1][1]]))
            if all(_CLOSES[opened] != character for _, opened in standing):
                crossed.append((at, ""))
                continue
            while _CLOSES[(last := standing.pop())[1]] != character:
                lost.append(last)
    return sorted([*standing, *lost], reverse=True)[:_MOST], crossed[:_MOST]


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
