"""What code does as far as its grammar shows it, in words: what its functions take, call and return. Certain, whatever a model
then says about it."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from chains.code.languages import known
from chains.code.outline import DEFINES
from chains.code.references import named
from chains.code.trees import nodes, parsed

if TYPE_CHECKING:
    from tree_sitter import Node

#: Definitions, and names of each kind, that are told at most; and characters of a piece of code.
_MOST_TOLD, _MOST_NAMED, _MOST_QUOTED = 20, 6, 100
_FUNCTION = re.compile(
    r"function_(?:definition|declaration|item)$|^(?:method|constructor)_(?:definition|declaration)$|^(?:method|singleton_method)$"
    r"|^(?:arrow_function|function_expression|lambda|lambda_expression)$"
)
_CLASS = re.compile(r"^(?:class|struct|interface|enum|trait|impl)(?:_|$)|^module$")
_RETURNS = re.compile(r"^return(?:_statement|_expression)?$")
_RAISES = re.compile(r"^(?:raise|throw)(?:_statement|_expression)?$")
_LOOPS = re.compile(
    r"^(?:for|while|do|loop|foreach|enhanced_for|for_in)(?:_statement|_expression|_clause)?$|^(?:until|for_range_loop)$"
)
_IMPORTS = re.compile(
    r"^import_(?:statement|from_statement|declaration)$|^use_declaration$|^using_directive$|^preproc_include$"
)
_CALLS = (
    "call",
    "call_expression",
    "method_invocation",
    "invocation_expression",
    "function_call_expression",
    "macro_invocation",
)
_CLAUSES = (
    "select",
    "insert",
    "update",
    "delete",
    "create_table",
    "from",
    "join",
    "where",
    "group_by",
    "having",
    "order_by",
    "limit",
)
#: What a language has no `return` for: the last value is the function's.
_LAST_IS_RETURNED = ("rust", "ruby")
#: Where a function without a `return` returns nothing.
_SAYS_RETURN = ("python", "javascript", "typescript", "java", "csharp", "c", "cpp", "go", "php")


def told(code: str, language: str) -> list[str]:
    """One sentence for each thing that is defined, and for what stands outside; empty where no grammar knows the language.

    As `syntax.problems`, it is run by `chains.code.parsing`.
    """
    if language not in known():
        return []
    tree = parsed(("<?php " + code) if language == "php" and "<?" not in code else code, language)
    if language == "sql":
        clauses = [_clause(node) for node in nodes(tree) if node.type in _CLAUSES]
        return [f"It consists of {', '.join(clauses[:_MOST_TOLD])}."] if clauses else []
    imports = [_text(node) for node in nodes(tree) if _IMPORTS.search(node.type)]
    found = [f"It imports: {', '.join(f'`{_short(one)}`' for one in imports[:_MOST_NAMED])}."] if imports else []
    defined = (node for node in nodes(tree) if node.is_named and (_FUNCTION.search(node.type) or _is_class(node)))
    found += [_about(node, language) for node in islice(defined, _MOST_TOLD)]
    outside = _done(tree.root_node, "")
    return [*found, f"Outside of functions it {outside}."] if outside else found


def _is_class(node: "Node") -> bool:
    return bool(_CLASS.search(node.type) and DEFINES.match(node.type)) and named(node) is not None


def _about(node: "Node", language: str) -> str:
    line = node.start_point[0] + 1
    name = _name(node)
    if _is_class(node):
        members = [_name(one) for one in _within(node) if _FUNCTION.search(one.type)]
        has = f" has {_listed([one for one in members if one])}" if any(members) else " has no methods"
        return f"Line {line}: `{_head(node)}`{has}."
    done = _done(node, name)
    if language in _LAST_IS_RETURNED and "returns" not in done and (last := _last(node, language)):
        done = f"{done}; {last}" if done else last
    if not done:
        done = "calls and returns nothing" if language in _SAYS_RETURN and node.child_by_field_name("body") else "is defined"
    return f"Line {line}: `{_head(node)}` {done}."


def _done(node: "Node", name: str) -> str:
    """What is done within a node, and not in the functions inside of it."""
    inside = list(_within(node, calls_too=True))
    called = list(dict.fromkeys(one for one in (_called(each) for each in inside) if one))
    own = {f"self.{name}", f"this.{name}", *([] if _is_of_class(node) else [name])}
    itself = bool(name) and any(one in own for one in called)
    called = [one for one in called if one not in own]
    returned = [_behind(each) for each in inside if _RETURNS.search(each.type) and each.is_named]
    body = node.child_by_field_name("body")
    if body is not None and node.type in ("arrow_function", "lambda") and not body.type.endswith("block"):
        returned.append(_short(_text(body)))
    raised = [_behind(each) for each in inside if _RAISES.search(each.type) and each.is_named]
    done = ["loops"] if any(_LOOPS.search(each.type) and each.is_named for each in inside) else []
    done += ["calls itself"] if itself else []
    done += [f"calls {_listed(called)}"] if called else []
    done += ["yields values"] if any(each.type in ("yield", "yield_expression") for each in inside) else []
    done += [f"raises {_either(raised)}"] if any(raised) else []
    done += [f"returns {_either(returned)}"] if any(returned) else []
    return "; ".join(done)


def _is_of_class(node: "Node") -> bool:
    """Whether it is called by its object alone: its bare name is another's."""
    outer = node.parent
    while outer is not None and not _FUNCTION.search(outer.type):
        if outer.type in ("class_definition", "class_body"):
            return True
        outer = outer.parent
    return False


def _last(node: "Node", language: str) -> str:
    body = node.child_by_field_name("body")
    if language in _LAST_IS_RETURNED and body is not None and body.named_children:
        last = body.named_children[-1]
        if not last.type.endswith(("_statement", "_declaration", "comment")):
            return f"returns the value of `{_short(_text(last))}`"
    return ""


def _within(node: "Node", *, calls_too: bool = False) -> Iterator["Node"]:
    """The nodes inside of one; not those of the functions, and where calls are looked for, of the classes, in it."""
    todo = list(reversed(node.children))
    while todo:
        one = todo.pop()
        yield one
        if not _FUNCTION.search(one.type) and not (calls_too and _is_class(one)):
            todo.extend(reversed(one.children))


def _name(node: "Node") -> str:
    name: Any = named(node)
    if name is None and node.parent is not None:
        name = named(node.parent)
    return _text(name) if name is not None else ""


def _head(node: "Node") -> str:
    """The definition without its body, on one line."""
    outer = node.parent if named(node) is None and node.parent is not None and named(node.parent) is not None else node
    body = node.child_by_field_name("body")
    data = outer.text or b""
    if body is not None:
        data = data[: body.start_byte - outer.start_byte]
    return _short(re.sub(r"(?:\s*(?:[{:]|=>))+\s*$", "", data.decode("utf-8", "replace")))


def _called(node: "Node") -> str:
    if node.type == "command":
        name = node.child_by_field_name("name")
        return _text(name) if name is not None else ""
    if node.type not in _CALLS:
        return ""
    for part in ("function", "macro", "name", "method"):
        if (name := node.child_by_field_name(part)) is not None:
            owner = node.child_by_field_name("object") or node.child_by_field_name("receiver")
            whole = f"{_text(owner)}.{_text(name)}" if owner is not None else _text(name)
            if re.fullmatch(r"[\w.:$@>?!-]+", whole):
                return whole
            return "…." + re.split(r"[^\w$]", whole)[-1]
    return ""


def _behind(node: "Node") -> str:
    """What is returned or raised."""
    return _short(re.sub(r"^\w+\b\s*|;\s*$", "", _text(node)))


def _either(pieces: Sequence[str]) -> str:
    return " or ".join(f"`{one}`" if one else "nothing" for one in list(dict.fromkeys(pieces))[:_MOST_NAMED])


def _listed(names: Sequence[str]) -> str:
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(f"`{name}`" for name in names[:_MOST_NAMED]) + more


def _clause(node: "Node") -> str:
    """A clause of SQL without those inside of it."""
    inner = next((one.start_byte for one in node.children if one.type in _CLAUSES), node.end_byte)
    return f"`{_short((node.text or b'')[: inner - node.start_byte].decode('utf-8', 'replace'))}`"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]}…"


def _text(node: "Node") -> str:
    return (node.text or b"").decode("utf-8", "replace")
