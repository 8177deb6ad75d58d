"""Which of the things that one piece of code defines another one uses, as their grammar sees it. Nothing is ever run."""

import re
from collections.abc import Iterator
from typing import Any

from chains.code.languages import known
from chains.code.outline import DEFINES
from chains.code.trees import nodes, parsed

_NAME = re.compile(r"(^|_)identifier$|^(constant|name|word|simple_identifier)$")
_IMPORTS = re.compile(r"import|^use_declaration$|^using_directive$|^preproc_include$")
#: What gives a name to a function: `const add = (a, b) => a + b`.
_BINDS = frozenset({"variable_declarator", "assignment", "assignment_expression", "pair"})
_CLASS = re.compile(r"^(class|impl|interface|trait|struct)(_|$)")
_FUNCTION = re.compile(r"^(arrow_function|function_expression|function|lambda|lambda_expression|anonymous_function)$")


def unused(source: str, code: str, language: str) -> list[str] | None:
    """What the source defines, where the code uses none of it; empty where it uses something. What the code defines itself is
    its own, whatever it is called. None where that cannot be told: no grammar knows the language, or the source defines
    nothing.

    As `syntax.problems`, it is run by `chains.code.parsing`.
    """
    if language not in known():
        return None
    defined = list(dict.fromkeys(_names(source, language, of_definitions=True)))
    if not defined:
        return None
    again = {name for name, inside in _definitions(code, language) if not inside}
    used = set(_names(code, language, of_definitions=False)) - again
    return [] if set(defined) & used else defined


def _definitions(code: str, language: str) -> Iterator[tuple[str, bool]]:
    """The names of what code defines, and whether that is within a class."""
    for node in nodes(parsed(code, language)):
        if (name := named(node)) is not None and name.text:
            outer = node.parent
            while outer is not None and not _CLASS.search(outer.type):
                outer = outer.parent
            yield name.text.decode("utf-8", "replace"), outer is not None


def _names(code: str, language: str, *, of_definitions: bool) -> list[str]:
    """The names in the order of the code: those of what it defines, or all others that are not imports."""
    if language == "php" and "<?" not in code:
        code = "<?php " + code
    cursor = parsed(code, language).walk()
    found: list[str] = []
    naming: set[int] = set()
    climbing = False
    while True:
        node: Any = cursor.node
        imported = False
        if not climbing:
            if (name := named(node)) is not None:
                naming.add(name.id)
            imported = bool(_IMPORTS.search(node.type))
            if _NAME.search(node.type) and node.child_count == 0 and (node.id in naming) is of_definitions:
                found.append(node.text.decode("utf-8", "replace"))
        if not climbing and not imported and cursor.goto_first_child():
            continue
        if cursor.goto_next_sibling():
            climbing = False
        elif cursor.goto_parent():
            climbing = True
        else:
            return found


def named(node: Any) -> Any:
    """The name that a node gives to what it defines; None where it defines nothing."""
    if DEFINES.match(node.type):
        name = node.child_by_field_name("name")
        inner = node
        while name is None and (inner := inner.child_by_field_name("declarator")) is not None:
            name = inner if inner.child_count == 0 else inner.child_by_field_name("name")
        return name
    if node.type in _BINDS:
        value = next((part for field in ("value", "right") if (part := node.child_by_field_name(field)) is not None), None)
        if value is not None and _FUNCTION.match(value.type):
            return next(
                (part for field in ("name", "left", "key") if (part := node.child_by_field_name(field)) is not None), None
            )
    return None
