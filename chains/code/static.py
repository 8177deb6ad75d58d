"""What is wrong in code, or likely to be, as far as it can be seen without running it: certain about the place, never a guess
of a model. Python by pyflakes and by its syntax tree; a few faults of other languages by their grammar."""

import ast
import builtins
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from chains.code.dangers import dangers
from chains.code.faults import MAX_FAULTS, Fault

#: pyflakes messages that say that the code fails when it gets there; the others are warnings.
_FAILS = (
    "UndefinedName",
    "UndefinedLocal",
    "ReturnOutsideFunction",
    "YieldOutsideFunction",
    "ContinueOutsideLoop",
    "BreakOutsideLoop",
)
#: What pyflakes says of code that is only a piece of a file.
_OF_FILES = ("ImportStarUsage", "ImportStarUsed", "UndefinedExport")
#: Built-in names that people take by mistake, and miss later.
_BUILTINS = frozenset(name for name in dir(builtins) if name.islower() and not name.startswith("_")) - {
    "copyright",
    "credits",
    "license",
}
_SECRET = re.compile(r"password|passwd|secret|api_?key|token", re.I)
_ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


def python_faults(code: str) -> list[Fault]:
    """The faults of Python code that parses, by line; at most fifty. Milliseconds up to a second for large code."""
    found: list[Fault] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        tree = ast.parse(code)
        try:
            compile(tree, "<review>", "exec")
        except (SyntaxError, ValueError, RecursionError) as error:
            found.append((getattr(error, "lineno", 1) or 1, "error", str(getattr(error, "msg", error))))
    found += [(one.lineno or 1, "warning", str(one.message)) for one in warned]
    lines = {line for line, _, _ in found}
    found += [fault for fault in _flakes(tree) if fault[0] not in lines]
    for node in ast.walk(tree):
        found += _about(node)
    found += dangers(tree)
    return sorted(set(found), key=lambda fault: fault[0])[:MAX_FAULTS]


def _flakes(tree: ast.Module) -> Iterator[Fault]:
    from pyflakes.checker import Checker

    try:
        messages = Checker(tree).messages
    except RecursionError:
        return
    for message in messages:
        kind = type(message).__name__
        if kind not in _OF_FILES:
            said = str(message.message % message.message_args)
            yield message.lineno, "error" if kind in _FAILS else "warning", f"{said[:1].upper()}{said[1:]}."[:300]


def _about(node: ast.AST) -> Iterator[Fault]:
    yield from _mistakes(node)
    yield from _divisions(node)
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list):
            yield from _unreachable(block)
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from _in_function(node)
        case ast.For(iter=looped, body=body):
            yield from _in_loop(node, looped, body)
        case ast.While(test=ast.Constant(value=true), body=body) if true and not _leaves(body):
            yield node.lineno, "warning", "This loop never ends: nothing in it breaks, returns or raises."


def _mistakes(node: ast.AST) -> Iterator[Fault]:
    match node:
        case ast.ExceptHandler(type=None):
            yield node.lineno, "warning", "A bare `except:` catches everything, also an interrupt."
        case ast.ExceptHandler(body=[ast.Pass()]):
            yield node.lineno, "warning", "The error is swallowed: nobody hears of it."
        case ast.Compare(ops=[ast.Eq() | ast.NotEq()], comparators=[ast.Constant(value=None)]):
            yield node.lineno, "info", "Compare with None by `is` or `is not`."
        case ast.Compare(ops=[ast.Eq() | ast.NotEq()], comparators=[ast.Constant(value=bool(value))]):
            yield node.lineno, "info", f"Comparing with {value} is not needed: use the value itself, or `not`."
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))) if text and _SECRET.search(name):
            yield node.lineno, "warning", f"`{name}` is a secret in the code: read it from the environment."
        case ast.Assign(targets=[ast.Name(id=name)]) if name in _BUILTINS:
            yield node.lineno, "warning", f"`{name}` hides the built-in of that name."


def _divisions(node: ast.AST) -> Iterator[Fault]:
    match node:
        case ast.BinOp(op=ast.Div() | ast.FloorDiv() | ast.Mod(), right=ast.Constant(value=0)):
            yield node.lineno, "error", "This divides by zero."
        case ast.BinOp(op=ast.Div() | ast.FloorDiv() | ast.Mod(), right=ast.Call(func=ast.Name(id="len"), args=[counted])):
            yield node.lineno, "warning", f"This divides by zero when `{_source(counted)}` is empty."


def _in_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Fault]:
    given = node.args
    for default in [*given.defaults, *given.kw_defaults]:
        if isinstance(default, ast.List | ast.Dict | ast.Set):
            yield default.lineno, "warning", "A mutable default value is shared by all calls."
    for argument in [*given.posonlyargs, *given.args, *given.kwonlyargs]:
        if argument.arg in _BUILTINS:
            yield argument.lineno, "info", f"The parameter `{argument.arg}` hides the built-in of that name."
    if node.name in _BUILTINS:
        yield node.lineno, "info", f"`{node.name}` hides the built-in of that name."
    yield from _unclosed(node)
    last = node.body[-1]
    ends = isinstance(last, ast.Return | ast.Raise | ast.While | ast.With | ast.AsyncWith | ast.Try | ast.Match)
    ends = ends or (isinstance(last, ast.If) and bool(last.orelse))
    inside = list(_own(node))
    generates = any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in inside)
    if not ends and not generates and any(isinstance(inner, ast.Return) and inner.value is not None for inner in inside):
        yield node.lineno, "info", f"`{node.name}` returns a value on some ways only, and None on the others."


def _unclosed(node: ast.AST) -> Iterator[Fault]:
    """Files that are opened into a name, which nothing closes or hands on."""
    inside = list(_own(node))
    for opened in inside:
        match opened:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id="open"))):
                closed = any(isinstance(one, ast.Attribute) and one.attr == "close" and _is(one.value, name) for one in inside)
                handed = any(isinstance(one, ast.Return) and _is(one.value, name) for one in inside)
                if not closed and not handed:
                    yield opened.lineno, "warning", f"`{name}` is never closed: open it in a `with`."
            case ast.Attribute(value=ast.Call(func=ast.Name(id="open"))):
                yield opened.lineno, "warning", "The file is never closed: open it in a `with`."


def _in_loop(loop: ast.For, looped: ast.expr, body: Sequence[ast.stmt]) -> Iterator[Fault]:
    inside = [node for statement in body for node in ast.walk(statement)]
    if isinstance(looped, ast.Name):
        for node in inside:
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id=looped.id), attr=("remove" | "pop" | "append" | "insert" | "clear"))
                ):
                    yield node.lineno, "error", f"`{looped.id}` is changed while it is looped over."
                case ast.Delete(targets=[ast.Subscript(value=ast.Name(id=looped.id))]):
                    yield node.lineno, "error", f"`{looped.id}` is changed while it is looped over."
    match looped:
        case ast.Call(
            func=ast.Name(id="range"),
            args=[*_, ast.BinOp(left=ast.Call(func=ast.Name(id="len"), args=[counted]), op=ast.Add())],
        ):
            yield loop.lineno, "error", f"This counts beyond the end of `{_source(counted)}`."
        case ast.Call(func=ast.Name(id="range"), args=[*_, ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=name)])]):
            for node in inside:
                match node:
                    case ast.Subscript(value=ast.Name(id=of), slice=ast.BinOp(left=ast.Name(id=index), op=ast.Add())) if (
                        of == name and _is(loop.target, index)
                    ):
                        yield node.lineno, "error", f"`{_source(node)}` is beyond the end in the last round."


def _unreachable(block: Sequence[object]) -> Iterator[Fault]:
    for statement, following in pairwise(block):
        if isinstance(statement, _ENDS) and isinstance(following, ast.stmt):
            yield following.lineno, "warning", "This is never reached."
            return


def _leaves(body: Iterable[ast.stmt]) -> bool:
    nodes = [node for statement in body for node in ast.walk(statement)]
    return any(
        isinstance(node, ast.Break | ast.Return | ast.Raise | ast.Yield | ast.YieldFrom | ast.Await) or _exits(node)
        for node in nodes
    )


def _exits(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=("exit" | "quit"))):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=name)):
            return (module, name) in (("sys", "exit"), ("os", "_exit"))
    return False


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """What is in a function, without what functions inside of it have."""
    todo: list[ast.AST] = list(ast.iter_child_nodes(node))
    while todo:
        inner = todo.pop()
        yield inner
        if not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            todo.extend(ast.iter_child_nodes(inner))


def _source(node: ast.AST) -> str:
    """The code of a node, its beginning where it is long. Code may be nested deeper than `ast.unparse` can follow."""
    try:
        return ast.unparse(node)[:80]
    except RecursionError:
        return "…"


def _is(node: object, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
