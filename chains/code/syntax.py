"""Whether text is code: parsed by Python's own parser, or by tree-sitter for every other language. Nothing is ever run."""

import ast
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chains.code.bare import bare
from chains.code.trees import nodes, parsed

if TYPE_CHECKING:
    from tree_sitter import Tree

MAX_PROBLEMS = 10
#: Their grammars take any text; what is written in them has an element at least.
_MARKUP = frozenset({"html", "vue", "svelte", "astro", "xml"})
_ELEMENT = re.compile(r"element|doctype", re.I)
#: Where a block of Go is a statement of its own.
_STANDS_ALONE = re.compile(r"^block$|statement_list|_case$|^labeled_statement$")

#: A comma that nothing follows in its list.
LOOSE_COMMA = re.compile(r",(?=\s*(?:[)\]};]|\b(?:from|where|group|order|having|limit)\b))", re.I)


@dataclass(frozen=True, slots=True)
class Problem:
    """A place where code does not parse. `line` counts from 1."""

    line: int
    message: str


def problems(code: str, language: str) -> list[Problem] | None:
    """Where the code does not parse, at most ten places; empty when it does. None where no parser knows the language.

    Grammars may crash or never come back: where the code is a caller's, this is run by `chains.code.parsing`.
    """
    if not code.strip():
        return [Problem(line=1, message="there is no code")]
    if language == "python":
        return _python_problems(code)
    from chains.code.languages import known

    return _grammar_problems(code, language) if language in known() else None


def _python_problems(code: str) -> list[Problem]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except SyntaxError as error:
        return [Problem(line=error.lineno or 1, message=str(error.msg))]
    except (ValueError, RecursionError, MemoryError) as error:
        return [Problem(line=1, message=f"it cannot be parsed ({type(error).__name__})")]
    return []


def _grammar_problems(code: str, language: str) -> list[Problem]:
    if language == "php" and "<?" not in code:
        code = "<?php " + code
    tree = parsed(code, language)
    last = max(1, len(code.rstrip().splitlines()))
    if not tree.root_node.has_error:
        if language == "go" and (below := _braces_below(tree, code)):
            return below
        if language == "sql" and (loose := LOOSE_COMMA.search(bare(code, "sql"))):
            return [Problem(line=code.count("\n", 0, loose.start()) + 1, message="nothing follows this ','")]
        if language in _MARKUP and not any(_ELEMENT.search(node.type) for node in nodes(tree)):
            return [Problem(line=1, message=f"there is no element of {language} in it")]
        return []
    found: list[Problem] = []
    for node in nodes(tree, enters=lambda node: node.has_error):
        if len(found) >= MAX_PROBLEMS:
            break
        if node.is_error or node.is_missing:
            what = f"{node.type!r} is missing" if node.is_missing else "this does not parse"
            found.append(Problem(line=min(node.start_point[0] + 1, last), message=what))
    return found or [Problem(line=1, message="this does not parse")]


def _braces_below(tree: "Tree", code: str) -> list[Problem]:
    """Blocks of Go that begin on a line of their own, which ends the statement above: its grammar takes them all the same."""
    lines = code.splitlines()
    found = []
    for node in nodes(tree):
        if node.type == "block" and node.parent is not None and not _STANDS_ALONE.search(node.parent.type):
            row, column = node.start_point
            if row and not lines[row].encode()[:column].strip():
                found.append(Problem(line=row + 1, message="Go wants this '{' at the end of the line above"))
    return found[:MAX_PROBLEMS]
