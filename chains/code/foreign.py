"""Faults of languages other than Python that their grammar shows: few kinds, each certain about what stands there."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from chains.code.faults import MAX_FAULTS, Fault
from chains.code.languages import known
from chains.code.trees import nodes, parsed

if TYPE_CHECKING:
    from tree_sitter import Node

_JUMPS = frozenset(("return_statement", "throw_statement", "break_statement", "continue_statement", "return_expression"))
_BLOCKS = frozenset(("statement_block", "block", "compound_statement", "statement_list"))
#: What may stand after a jump all the same: the next branch's label, a declaration that is lifted, a remark.
_NO_STATEMENT = re.compile(r"comment|declaration|_case|_label|labeled_|item$|^[^a-z]+$")
_SCRIPTS = ("javascript", "typescript", "tsx")
#: C functions that write as far as their input goes.
_UNBOUNDED = frozenset(("gets", "strcpy", "strcat", "sprintf", "vsprintf"))
_IDENTIFIER = re.compile(r"(?:^|\+)\s*[A-Za-z_$][\w$.]*\s*(?:\+|$)|\+\s*[A-Za-z_$]")
_STATEMENT = re.compile(r"\b(?:select|insert|update|delete|drop|alter|create)\b", re.I)


def grammar_faults(code: str, language: str) -> list[Fault]:
    """At most fifty, by line; none where no grammar knows the language."""
    if language not in known():
        return []
    found: set[Fault] = set()
    for node in nodes(parsed(code, language)):
        found.update(_about(node, language))
        if len(found) >= MAX_FAULTS:
            break
    return sorted(found)


def _about(node: "Node", language: str) -> Iterator[Fault]:
    line = node.start_point[0] + 1
    if node.type in _BLOCKS and (dead := _dead(node)):
        yield dead, "warning", "This is never reached."
    if node.type == "catch_clause" and (body := node.child_by_field_name("body")) is not None and body.named_child_count == 0:
        yield line, "warning", "The error is swallowed: nobody hears of it."
    if language in _SCRIPTS:
        if node.type in ("==", "!=") and not (node.parent and re.search(r"\bnull\b", _text(node.parent))):
            yield line, "info", f"`{node.type}` converts types before it compares; `{node.type}=` does not."
        if node.type == "var":
            yield line, "info", "`var` is seen in the whole function: use `let` or `const`."
    if language in _SCRIPTS and (said := _run_text(node)):
        yield line, "error", said
    if node.type == "call_expression" and (called := node.child_by_field_name("function")) is not None:
        name = _text(called)
        if language in _SCRIPTS and name == "eval":
            yield line, "warning", "`eval` runs whatever text it is given."
        if language in ("c", "cpp") and name in _UNBOUNDED:
            yield line, "error", f"`{name}` writes beyond its buffer when the input is longer."


def _run_text(node: "Node") -> str | None:
    """What is said of a command or a statement that a script puts together from text."""
    called, given = node.child_by_field_name("function"), node.child_by_field_name("arguments")
    if node.type != "call_expression" or called is None or given is None or not given.named_children:
        return None
    first = given.named_children[0]
    built = (first.type == "binary_expression" and re.search(r"[\"'`]", _text(first)) and _IDENTIFIER.search(_text(first))) or (
        first.type == "template_string" and any(part.type == "template_substitution" for part in first.named_children)
    )
    name = _text(called).rpartition(".")[2]
    if built and name in ("exec", "execSync"):
        return "The command is put together from text: anyone who gives that text can run any command. Use `execFile`."
    if built and name in ("query", "execute", "raw") and _STATEMENT.search(_text(first)):
        return "The statement is put together from text: pass values as parameters, or anyone can inject SQL."
    return None


def _dead(block: "Node") -> int | None:
    """The line of the first statement after one that leaves the block."""
    left = False
    for child in block.named_children:
        if left and not _NO_STATEMENT.search(child.type):
            return child.start_point[0] + 1
        inner = child.named_children[0] if child.type == "expression_statement" and child.named_children else child
        left = left or inner.type in _JUMPS
    return None


def _text(node: "Node") -> str:
    return (node.text or b"").decode("utf-8", "replace")
