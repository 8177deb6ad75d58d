"""Tests beside the code that they are for: what of it they define again, and what they take it to have that it has not."""

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from chains.code.languages import known
from chains.code.mending import mended
from chains.code.outline import DEFINES
from chains.code.references import named
from chains.code.static import python_faults
from chains.code.trees import nodes, parsed

if TYPE_CHECKING:
    from tree_sitter import Node

#: What stands round a definition without being one.
_ROUND = frozenset(
    ("export_statement", "decorated_definition", "expression_statement", "lexical_declaration", "variable_declaration")
)
_SCRIPTS = ("javascript", "typescript", "tsx")
#: A definition at the margin of code that does not parse.
_DEFINED = re.compile(r"^(?:export\s+)?(?:async\s+)?(?:def|class|function|func|fn)\s+(\w+)", re.M)
_WORD = re.compile(r"\w+")
_IMPORTED = re.compile(r"import\s+(?:[\w$]+\s*,\s*)?\{(?P<names>[^}]*)\}\s*from\s*([\"'])(?P<place>[^\"'\n]+)\2")
_MADE = re.compile(r"\b(?:const|let|var)\s+(?P<name>[\w$]+)(?:\s*:[^=\n]+)?\s*=\s*new\s+(?P<of>[\w$]+)\b")


def without_doubles(source: str, code: str, language: str) -> tuple[str, list[str]]:
    """Tests without what they define again of the code that they are for, so that they run on that; and the names of it. Where
    they use pytest, they import it.

    As `syntax.problems`, it is run by `chains.code.parsing`.
    """
    if language not in known():
        return code, []
    source = mended(source, language) or source
    given = {name for name, _ in _defined(source, language)} | set(_DEFINED.findall(source))
    doubles = [(name, node) for name, node in _defined(code, language) if name in given]
    data = code.encode("utf-8", "replace")
    for _, node in reversed(doubles):
        data = data[: node.start_byte] + data[node.end_byte :].lstrip(b";")
    text = re.sub(r"\n{4,}", "\n\n\n", data.decode("utf-8", "replace")).strip("\n") if doubles else code
    if language == "python" and re.search(r"\bpytest\.", text) and not re.search(r"^\s*(?:import|from)\s+pytest\b", text, re.M):
        text = f"import pytest\n\n{text}"
    return text, list(dict.fromkeys(name for name, _ in doubles))


def mismatch(source: str, code: str, language: str) -> str | None:
    """What tests use as if the code had it, in a few words; None where nothing of the kind is seen.

    As `syntax.problems`, it is run by `chains.code.parsing`.
    """
    source = mended(source, language) or source
    if language == "python":
        return next(_python_mismatches(source, code), None)
    return next(_script_mismatches(source, code, language), None) if language in _SCRIPTS else None


def _defined(code: str, language: str) -> Iterator[tuple[str, "Node"]]:
    """What stands by itself, and not within another definition: its name, and all of it."""
    root = parsed(code, language).root_node
    for outer in root.named_children:
        node = outer
        while node is not None and node.type in _ROUND and node.named_children:
            inner: Any = node.child_by_field_name("declaration") or node.child_by_field_name("definition")
            node = inner if inner is not None else node.named_children[0]
        name = named(node)
        if name is not None and name.text:
            yield name.text.decode("utf-8", "replace"), outer


def _parsed(code: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _python_mismatches(source: str, code: str) -> Iterator[str]:
    given = set(_WORD.findall(source))
    tests = _parsed(code)
    if tests is None:
        return
    for line, _, said in python_faults(code):
        name = re.match(r"Undefined name '(\w+)'", said)
        if name and name[1] not in given:
            yield f"line {line}: `{name[1]}` is nowhere defined"
    program = _parsed(source)
    if program is None:
        return
    for node in ast.walk(tests):
        if isinstance(node, ast.ImportFrom) and any(one.name in _names(program) for one in node.names):
            yield from (f"`{one.name}` is not in the code" for one in node.names if one.name not in given and one.name != "*")
    classes = {
        node.name: node for node in program.body if isinstance(node, ast.ClassDef) and not node.bases and not node.keywords
    }
    yield from _members(tests, classes, source)
    functions = {node.name: node for node in program.body if isinstance(node, ast.FunctionDef) and not node.decorator_list}
    yield from _calls(tests, functions)


def _names(program: ast.Module) -> set[str]:
    return {node.name for node in program.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}


def _members(tests: ast.Module, classes: dict[str, ast.ClassDef], source: str) -> Iterator[str]:
    """What is asked of an object that its class does not speak of."""
    spoken = {name: set(_WORD.findall(ast.get_source_segment(source, node) or "")) for name, node in classes.items()}
    of: dict[str, str] = {}
    for node in ast.walk(tests):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id=made))) if made in classes:
                of[name] = made
            case ast.With(items=items):
                for item in items:
                    made = _made(item.context_expr)
                    if made in classes and "__enter__" not in spoken[made] and not classes[made].decorator_list:
                        yield f"line {node.lineno}: `{made}` has no `__enter__`, which `with` wants"
    for node in ast.walk(tests):
        if isinstance(node, ast.Attribute) and not node.attr.startswith("__"):
            made = of.get(node.value.id, "") if isinstance(node.value, ast.Name) else _made(node.value)
            if made in classes and node.attr not in spoken[made] and "__getattr__" not in spoken[made]:
                yield f"line {node.lineno}: `{node.attr}` is not in `{made}`"


def _made(node: ast.AST) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def _calls(tests: ast.Module, functions: dict[str, ast.FunctionDef]) -> Iterator[str]:
    """Calls with more or fewer arguments than a function takes; not where they are meant to fail."""
    meant: set[int] = set()
    for node in ast.walk(tests):
        if isinstance(node, ast.With | ast.Try):
            meant.update(id(inner) for inner in ast.walk(node))
    for node in ast.walk(tests):
        function = functions.get(_made(node))
        if function is None or not isinstance(node, ast.Call) or id(node) in meant:
            continue
        takes = function.args
        if any(isinstance(one, ast.Starred) for one in node.args) or any(word.arg is None for word in node.keywords):
            continue
        names = [one.arg for one in [*takes.posonlyargs, *takes.args]]
        needed = len(names) - len(takes.defaults)
        by_name = {word.arg for word in node.keywords} & set(names)
        given = len(node.args) + len(by_name)
        if given < needed or (len(node.args) > len(names) and takes.vararg is None):
            takes_most = f"{needed} to {len(names)}" if takes.defaults else str(needed)
            yield f"line {node.lineno}: `{function.name}` takes {takes_most} arguments, not {given}"


def _script_mismatches(source: str, code: str, language: str) -> Iterator[str]:
    given, defined = set(_WORD.findall(source)), dict(_defined(source, language))
    for found in _IMPORTED.finditer(code):
        names = [name.split(" as ")[0].removeprefix("type ").strip() for name in found["names"].split(",") if name.strip()]
        if not any(name in defined for name in names):
            continue
        if not found["place"].startswith((".", "/", "@", "~")):
            yield f"`{', '.join(names)}` is imported from '{found['place']}', which is not the code"
        yield from (f"`{name}` is not in the code" for name in names if name not in given)
    classes = {name: _text(node) for name, node in defined.items() if _is_whole_class(node)}
    of = {made["name"]: made["of"] for made in _MADE.finditer(code)}
    for node in nodes(parsed(code, language)):
        if node.type == "member_expression":
            owner, member = node.child_by_field_name("object"), node.child_by_field_name("property")
            made = of.get(_text(owner), "") if owner is not None else ""
            if made in classes and member is not None and _text(member) not in _WORD.findall(classes[made]):
                yield f"line {node.start_point[0] + 1}: `{_text(member)}` is not in `{made}`"


def _is_whole_class(node: "Node") -> bool:
    """A class that takes nothing over from another."""
    parts: Sequence[Node] = [node, *node.named_children]
    return any(DEFINES.match(one.type) and "class" in one.type for one in parts) and not re.search(
        r"\bclass\b[^{]*\bextends\b", _text(node)
    )


def _text(node: "Node") -> str:
    return (node.text or b"").decode("utf-8", "replace")
