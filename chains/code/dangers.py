"""Python that lets whoever gives it text run what they like, as its syntax tree shows: commands, programs, data that runs."""

import ast
from collections.abc import Iterator

from chains.code.faults import Fault

_COMMAND = "The command is put together from text: anyone who gives that text can run any command. Pass a list of arguments."
_STATEMENT = "The statement is put together from text: pass values as parameters, or anyone can inject SQL."
#: What hands its text to a shell.
_SHELLS = frozenset(
    ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell")
)
_UNPICKLES = ("pickle", "cPickle", "dill", "marshal", "shelve", "joblib")
#: What makes the data safe to be read as YAML.
_SAFE = ("SafeLoader", "CSafeLoader", "BaseLoader", "CBaseLoader")


def dangers(tree: ast.Module) -> Iterator[Fault]:
    """By and by, in no order."""
    names = _imported(tree)
    texts = _put_together(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _of_call(node, _called(node.func, names), texts)


def _of_call(node: ast.Call, called: str, texts: frozenset[str]) -> Iterator[Fault]:
    first = node.args[0] if node.args else next((word.value for word in node.keywords if word.arg in ("args", "cmd")), None)
    module, _, name = called.rpartition(".")
    if called in _SHELLS or _through_shell(node):
        yield from _of_shell(node, called, first, texts)
    elif called in ("eval", "exec"):
        if _from_outside(first):
            yield node.lineno, "error", f"`{called}` runs what its user types, whatever that is."
        else:
            yield node.lineno, "warning", f"`{called}` runs whatever text it is given."
    elif module in _UNPICKLES and name in ("load", "loads", "open"):
        yield node.lineno, "warning", f"`{module}` runs code that the data carries: never load what others sent."
    elif module == "yaml" and name in ("load", "load_all", "unsafe_load") and not _reads_safely(node):
        yield node.lineno, "warning", f"`{called}` can run code that the data carries: use `yaml.safe_load`."
    elif name in ("execute", "executemany", "executescript") and _is_built(first, texts):
        yield node.lineno, "error", _STATEMENT


def _of_shell(node: ast.Call, called: str, first: ast.expr | None, texts: frozenset[str]) -> Iterator[Fault]:
    if _is_built(first, texts):
        yield node.lineno, "error", _COMMAND
    elif called not in _SHELLS:
        yield node.lineno, "warning", "`shell=True` lets the text run any command: pass a list of arguments."
    elif first is not None and not isinstance(first, ast.Constant):
        yield node.lineno, "warning", f"`{called}` runs any command that its text names: use `subprocess.run` with a list."


def _reads_safely(node: ast.Call) -> bool:
    loaders = [*node.args[1:], *(word.value for word in node.keywords if word.arg == "Loader")]
    return any(getattr(one, "attr", getattr(one, "id", "")) in _SAFE for one in loaders)


def _through_shell(node: ast.Call) -> bool:
    return any(
        word.arg == "shell" and isinstance(word.value, ast.Constant) and word.value.value is True for word in node.keywords
    )


def _is_built(node: ast.expr | None, texts: frozenset[str]) -> bool:
    """Whether a text is put together from others, or comes from outside, so that not all of it stands in the code."""
    match node:
        case ast.JoinedStr(values=values):
            return any(isinstance(value, ast.FormattedValue) for value in values)
        case ast.BinOp(op=ast.Add() | ast.Mod()):
            return not all(isinstance(leaf, ast.Constant) for leaf in _leaves(node))
        case ast.Call(func=ast.Attribute(attr=("format" | "join" | "replace"))):
            return True
        case ast.Name(id=name):
            return name in texts
    return _from_outside(node)


def _leaves(node: ast.expr) -> Iterator[ast.expr]:
    """The parts of a sum, without recursion: hostile code is nested deeper than Python's stack."""
    todo = [node]
    while todo:
        one = todo.pop()
        if isinstance(one, ast.BinOp):
            todo += [one.left, one.right]
        else:
            yield one


def _from_outside(node: ast.AST | None) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="input")):
            return True
        case ast.Subscript(value=ast.Attribute(value=ast.Name(id="sys"), attr="argv")):
            return True
    return False


def _put_together(tree: ast.Module) -> frozenset[str]:
    """The names that are given a text which is put together, and nothing else."""
    built: set[str] = set()
    plain: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    (built if _is_text(node.value) else plain).add(target.id)
    return frozenset(built - plain)


def _is_text(node: ast.expr) -> bool:
    """A text that is put together: a sum counts where a text is in it."""
    if isinstance(node, ast.BinOp):
        parts = list(_leaves(node))
        texts = any(
            isinstance(part, ast.JoinedStr) or (isinstance(part, ast.Constant) and isinstance(part.value, str))
            for part in parts
        )
        return texts and _is_built(node, frozenset())
    return _is_built(node, frozenset())


def _imported(tree: ast.Module) -> dict[str, str]:
    """What the names of imports stand for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({one.asname: one.name for one in node.names if one.asname})
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.update({one.asname or one.name: f"{node.module}.{one.name}" for one in node.names})
    return names


def _called(node: ast.expr, names: dict[str, str]) -> str:
    """The dotted name of what is called, as its module has it; the last part alone where the rest is no name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        return ".".join([names.get(node.id, node.id), *reversed(parts)])
    return f".{parts[0]}" if parts else ""
