"""Giving Python back the indentation that it lost, where its parser says on which line that is missing or too much."""

import ast
import re
from collections.abc import Iterator, Sequence

from chains.code.static import python_faults

_STEP = 4
#: Lines that are tried as the body of a block, at most.
_MOST_LINES = 30
_HEADER = re.compile(r"after .* on line (\d+)")
#: What may have an `else` or its like, and those.
_BEGINS = re.compile(r"(?:if|elif|for|while|try|except|else)\b")
_GOES_ON = re.compile(r"(?:elif|else|except|finally)\b")
_METHOD = re.compile(r"(?:async\s+)?def\s+\w+\s*\((?:self|cls)\b")


def indented(lines: Sequence[str], row: int, said: str) -> Iterator[str]:
    """Ways to indent what the parser complains of, the likeliest first: `row` counts from 0, `said` is its message."""
    if said.startswith("expected an indented block") and (named := _HEADER.search(said)):
        yield from _bodies(lines, int(named[1]) - 1, row)
    elif said == "unexpected indent":
        above = next((line for line in reversed(lines[:row]) if line.strip()), "")
        yield _moved(lines, row, _block(lines, row), _width(above) - _width(lines[row]))
    elif said.startswith("unindent does not match"):
        at = _width(lines[row])
        levels = sorted({_width(line) for line in lines[:row] if line.strip()}, key=lambda level: (abs(level - at), -level))
        for level in levels[:_STEP]:
            yield _moved(lines, row, _block(lines, row), level - at)
    elif said.startswith("inconsistent use of tabs"):
        for size in (_STEP, 8):
            yield "\n".join(_spaced(line, size) for line in lines)


def _bodies(lines: Sequence[str], header: int, row: int) -> Iterator[str]:
    """The block with one line, with two, and so on: those first that run into the fewest faults, and then the shortest."""
    margin = _width(lines[header])
    level = min(margin, _width(lines[row]))
    step = min((_width(line) for line in lines if line[:1] in (" ", "\t") and line.strip()), default=_STEP)
    tab = any(line.startswith("\t") for line in lines)
    ends: list[int] = []
    end = row
    while end < len(lines) and len(ends) < _MOST_LINES:
        if lines[end].strip() and _width(lines[end]) < level:
            break
        end += 1
        while end < len(lines) and (not lines[end].strip() or _width(lines[end]) > level):
            end += 1
        ends.append(end)
    ways = []
    for end in ends:
        last = next(at for at in range(end, row, -1) if lines[at - 1].strip())
        deeper = ("\t" * ((margin - level) // 8 + 1)) if tab else " " * (margin - level + step)
        body = [deeper + line if line.strip() else line for line in lines[row:last]]
        code = "\n".join([*lines[:row], *body, *lines[last:]])
        ways.append((_doubts(code, lines, header, row, last), code))
    yield from (code for _, code in sorted(ways, key=lambda way: way[0]))


def _doubts(code: str, lines: Sequence[str], header: int, row: int, end: int) -> tuple[int, int, int, int]:
    """What speaks against a block that ends there."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 1, _torn(lines, header, row, end), 0, 2 * end
    found = python_faults(code)
    looped = next((node for node in ast.walk(tree) if isinstance(node, ast.While) and node.lineno == header + 1), None)
    endless = looped is not None and not _changes(looped)
    # a function's end is where an empty line is; a body that leaves has its end there
    starts = re.match(r"\s*(?:async\s+def|def|class)\b", lines[header])
    cut = bool(starts) and end < len(lines) and bool(lines[end].strip())
    level = min(_width(lines[header]), _width(lines[row]))
    level_lines = [line.strip() for line in lines[row : end - 1] if _width(line) == level]
    left: int = sum(bool(re.match(r"(?:return|break|continue|raise)\b", line)) for line in level_lines)
    if re.match(r"\s*class\b", lines[header]):
        left += any(_width(line) == level and _METHOD.match(line.strip()) for line in lines[end:])
    return 0, sum(severity == "error" for _, severity, _ in found), left + endless, 2 * end + (cut and _blank_below(lines, end))


def _torn(lines: Sequence[str], header: int, row: int, end: int) -> bool:
    """Whether a block that ends there is cut from what belongs to it: the body of its last line, or the `else` of an `if`."""
    below = next((line.strip() for line in lines[end:] if line.strip()), "")
    if not below:
        return False
    if lines[end - 1].split("#")[0].rstrip().endswith(":"):
        return True
    level = min(_width(lines[header]), _width(lines[row]))
    begun = any(_BEGINS.match(line.strip()) for line in lines[row:end] if _width(line) == level)
    return bool(_GOES_ON.match(below)) and (begun or not _BEGINS.match(lines[header].strip()))


def _blank_below(lines: Sequence[str], end: int) -> int:
    """More than any shorter body saves, where an empty line below would end it."""
    return 4 * _MOST_LINES if any(not line.strip() for line in lines[end : end + _MOST_LINES]) else 0


def _changes(loop: ast.While) -> bool:
    """Whether the body can make the loop end: it leaves it, calls something, or gives a name of its test another value."""
    asked = {node.id for node in ast.walk(loop.test) if isinstance(node, ast.Name)}
    inside = [node for statement in loop.body for node in ast.walk(statement)]
    if any(isinstance(node, ast.Break | ast.Return | ast.Raise) for node in inside):
        return True
    given = {node.id for node in inside if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    touched = {
        node.func.value.id
        for node in inside
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
    }
    return bool(asked & (given | touched))


def _block(lines: Sequence[str], row: int) -> int:
    """Where the lines end that stand at least as deep as this one."""
    at = _width(lines[row])
    end = row + 1
    while end < len(lines) and (not lines[end].strip() or _width(lines[end]) >= at):
        end += 1
    return end


def _moved(lines: Sequence[str], row: int, end: int, by: int) -> str:
    moved = [" " * max(0, _width(line) + by) + line.lstrip() if line.strip() else line for line in lines[row:end]]
    return "\n".join([*lines[:row], *moved, *lines[end:]])


def _spaced(line: str, size: int) -> str:
    margin = line[: len(line) - len(line.lstrip())]
    return margin.expandtabs(size) + line.lstrip()


def _width(line: str) -> int:
    margin = line[: len(line) - len(line.lstrip())]
    return len(margin.expandtabs(8))
