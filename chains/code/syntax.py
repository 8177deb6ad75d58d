"""Whether text is code: parsed by Python's own parser, or by tree-sitter for every other language. Nothing is ever run."""

import ast
import re
import warnings
from dataclasses import dataclass

from chains.code.trees import nodes, parsed

MAX_PROBLEMS = 10
#: Their grammars take any text; what is written in them has an element at least.
_MARKUP = frozenset({"html", "vue", "svelte", "astro", "xml"})
_ELEMENT = re.compile(r"element|doctype", re.I)


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
    if not tree.root_node.has_error:
        if language in _MARKUP and not any(_ELEMENT.search(node.type) for node in nodes(tree)):
            return [Problem(line=1, message=f"there is no element of {language} in it")]
        return []
    found: list[Problem] = []
    for node in nodes(tree, enters=lambda node: node.has_error):
        if len(found) >= MAX_PROBLEMS:
            break
        if node.is_error or node.is_missing:
            what = f"{node.type!r} is missing" if node.is_missing else "this does not parse"
            found.append(Problem(line=node.start_point[0] + 1, message=what))
    return found or [Problem(line=1, message="this does not parse")]
