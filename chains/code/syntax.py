"""Whether text is code: parsed by Python's own parser, or by tree-sitter for every other language. Nothing is ever run."""

import ast
import warnings
from dataclasses import dataclass

MAX_PROBLEMS = 10


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
    from tree_sitter_language_pack import get_parser

    if language == "php" and "<?" not in code:
        code = "<?php " + code
    tree = get_parser(language).parse(code.encode("utf-8", "replace"))  # type: ignore[arg-type]
    if not tree.root_node.has_error:
        return []
    found: list[Problem] = []
    cursor, climbing = tree.walk(), False
    # without recursion: hostile code is nested deeper than Python's stack
    while len(found) < MAX_PROBLEMS:
        node = cursor.node
        if not climbing and node is not None and (node.is_error or node.is_missing):
            what = f"{node.type!r} is missing" if node.is_missing else "this does not parse"
            found.append(Problem(line=node.start_point[0] + 1, message=what))
        if not climbing and node is not None and node.has_error and cursor.goto_first_child():
            continue
        if cursor.goto_next_sibling():
            climbing = False
        elif cursor.goto_parent():
            climbing = True
        else:
            break
    return found or [Problem(line=1, message="this does not parse")]
