"""Expressions of Terraform as trees, for `infra.lint.evaluate`: what a stack's literals make of them can be computed.

Heredocs, template directives (`%{ if … }`) and spread arguments (`f(x...)`) are not understood: `parse` raises Unreadable.
"""

import json
import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s*(?:(?P<comment>(?:\#|//)[^\n]*|/\*.*?\*/)|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][\w-]*)"""
    r"""|(?P<sign>=>|==|!=|<=|>=|&&|\|\||\.\.\.|[-+*/%!<>?:.,=\[\](){}"]))""",
    re.DOTALL,
)
_BINDING = {"||": 1, "&&": 2, "==": 3, "!=": 3, "<": 4, ">": 4, "<=": 4, ">=": 4, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6}
_WORDS = {"true": True, "false": False, "null": None}


class Unreadable(Exception):
    """An expression that this parser does not understand."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operation and what it is done with: nodes, names, values, or tuples of them.

    Kinds: literal, template (parts), name, member (of, name), index (of, key), splat (of), call (name, arguments),
    list (items), object (pairs), for (names, source, key, value, condition), unary (sign, of), binary (sign, left, right),
    choice (if, then, else).
    """

    kind: str
    parts: tuple[object, ...]


def parse(text: str) -> Node:
    """The tree of an expression.

    Raises:
        Unreadable: it holds what is not understood here.
    """
    reader = _Reader(text)
    node = reader.expression()
    if reader.peek() is not None:
        raise Unreadable(text)
    return node


class _Reader:
    """Reads one expression from left to right; operators by their binding."""

    def __init__(self, text: str, at: int = 0) -> None:
        self.text, self.at = text, at

    def peek(self) -> str | None:
        """The next token, or None at the end."""
        at = self.at
        token = self._next()
        self.at = at
        return token

    def _next(self) -> str | None:
        while found := _TOKEN.match(self.text, self.at):
            self.at = found.end()
            if found["comment"] is None:
                return found[found.lastgroup or 0]
        if self.text[self.at :].strip():
            raise Unreadable(self.text)
        return None

    def _take(self, *wanted: str) -> bool:
        if self.peek() in wanted:
            self._next()
            return True
        return False

    def _need(self, wanted: str) -> None:
        if not self._take(wanted):
            raise Unreadable(self.text)

    def expression(self) -> Node:
        condition = self._operation(0)
        if not self._take("?"):
            return condition
        then = self.expression()
        self._need(":")
        return Node("choice", (condition, then, self.expression()))

    def _operation(self, least: int) -> Node:
        left = self._unary()
        while (sign := self.peek()) is not None and _BINDING.get(sign, 0) > least:
            self._next()
            left = Node("binary", (sign, left, self._operation(_BINDING[sign])))
        return left

    def _unary(self) -> Node:
        if (sign := self.peek()) in ("!", "-"):
            self._next()
            return Node("unary", (sign, self._unary()))
        return self._steps(self._single())

    def _steps(self, node: Node) -> Node:
        while True:
            if self._take("."):
                step = self._next()
                if step is None or not re.fullmatch(r"[\w-]+|\*", step):
                    raise Unreadable(self.text)
                node = Node("splat", (node,)) if step == "*" else Node("member", (node, step))
            elif self.peek() == "[":
                self._next()
                node = Node("splat", (node,)) if self._take("*") else Node("index", (node, self.expression()))
                self._need("]")
            else:
                return node

    def _single(self) -> Node:
        word = self._next()
        if word == "(":
            node = self.expression()
            self._need(")")
            return node
        if word == '"':
            return self._template()
        if word == "[":
            return self._bracketed("]")
        if word == "{":
            return self._bracketed("}")
        if word is None or not re.fullmatch(r"[\w.-]+", word):
            raise Unreadable(self.text)
        if word[0].isdigit():
            return Node("literal", (json.loads(word),))
        if word in _WORDS:
            return Node("literal", (_WORDS[word],))
        if self._take("("):
            return Node("call", (word, self._items(")")))
        return Node("name", (word,))

    def _items(self, end: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._take(end):
            items.append(self.expression())
            if not self._take(","):
                self._need(end)
                break
        return tuple(items)

    def _bracketed(self, end: str) -> Node:
        if self._take("for"):
            return self._comprehension(end)
        if end == "]":
            return Node("list", self._items(end))
        pairs: list[tuple[Node, Node]] = []
        while not self._take(end):
            key = self._single()
            if not self._take("=", ":"):
                raise Unreadable(self.text)
            pairs.append((Node("literal", key.parts) if key.kind == "name" else key, self.expression()))
            self._take(",")
        return Node("object", tuple(pairs))

    def _comprehension(self, end: str) -> Node:
        names = [self._next()]
        if self._take(","):
            names.append(self._next())
        self._need("in")
        source = self.expression()
        self._need(":")
        key, value = None, self.expression()
        if self._take("=>"):
            key, value = value, self.expression()
        condition = self.expression() if self._take("if") else None
        self._need(end)
        return Node("for", (tuple(names), source, key, value, condition))

    def _template(self) -> Node:
        """Behind an opening quote."""
        parts: list[object] = []
        text: list[str] = []
        while self.at < len(self.text):
            rest = self.text[self.at : self.at + 3]
            if rest.startswith('"'):
                self.at += 1
                return Node("template", (*parts, "".join(text)))
            if rest.startswith("%{"):
                break
            if rest.startswith("${"):
                inner = _Reader(self.text, self.at + 2)
                parts.extend(("".join(text), inner.expression()))
                inner._need("}")
                text, self.at = [], inner.at
                continue
            width = 2 if rest.startswith("\\") else 3 if rest == "$${" else 1
            text.append({"\\n": "\n", '\\"': '"', "\\\\": "\\", "$${": "${"}.get(rest[:width], rest[:width]))
            self.at += width
        raise Unreadable(self.text)
