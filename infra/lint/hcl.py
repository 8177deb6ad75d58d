"""Terraform's files as values: blocks with their lines, and what an expression refers to. Parsed by python-hcl2."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import hcl2
from lark.exceptions import LarkError

#: A step of a reference that is an index or a splat: `[0]`, `["a"]`, `[*]`.
INDEX = "[]"

_BRACKETS = r"\[(?:[^\[\]]|\[[^\[\]]*\])*\]"
_REFERENCE = re.compile(rf"(?<![\w.\-$])([A-Za-z_][\w-]*)((?:{_BRACKETS}|\.(?:[A-Za-z_][\w-]*|\d+|\*))+)")
_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|(\[|\.\d+|\.\*)")


@dataclass(frozen=True, slots=True)
class Attribute:
    """`name = …`: its expression as it is written, and what python-hcl2 makes of it."""

    name: str
    line: int
    text: str
    value: Any

    @property
    def literal(self) -> str | int | float | bool | None:
        """The value where it is written out, without any expression in it; else None."""
        if isinstance(self.value, str):
            quoted = len(self.value) > 1 and self.value[0] == self.value[-1] == '"' and "${" not in self.value
            return self.value[1:-1] if quoted else None
        return self.value if isinstance(self.value, (int, float)) else None


@dataclass(frozen=True, slots=True)
class Block:
    """`kind "label" … { … }`."""

    kind: str
    labels: tuple[str, ...]
    line: int
    path: Path
    attributes: dict[str, Attribute]
    blocks: tuple["Block", ...]

    def of(self, kind: str) -> Iterator["Block"]:
        """The blocks of a kind directly in it."""
        return (block for block in self.blocks if block.kind == kind)

    def everything(self) -> Iterator[Attribute]:
        """All attributes, those of inner blocks too."""
        yield from self.attributes.values()
        for block in self.blocks:
            yield from block.everything()


@dataclass(frozen=True)
class Module:
    """A directory of Terraform files."""

    path: Path
    blocks: tuple[Block, ...]
    broken: tuple[tuple[Path, int, str], ...] = field(default=())

    def of(self, kind: str) -> Iterator[Block]:
        return (block for block in self.blocks if block.kind == kind)

    @cached_property
    def variables(self) -> dict[str, Block]:
        return {block.labels[0]: block for block in self.of("variable")}

    @cached_property
    def outputs(self) -> dict[str, Block]:
        return {block.labels[0]: block for block in self.of("output")}

    @cached_property
    def calls(self) -> dict[str, Block]:
        """The modules that it calls, by the names that it gives them."""
        return {block.labels[0]: block for block in self.of("module")}

    @cached_property
    def locals(self) -> dict[str, tuple[Block, Attribute]]:
        return {name: (block, attribute) for block in self.of("locals") for name, attribute in block.attributes.items()}

    @cached_property
    def things(self) -> dict[tuple[str, str, str], Block]:
        """Resources, data sources and ephemeral resources by kind, type and name."""
        kinds = ("resource", "data", "ephemeral")
        return {(block.kind, *block.labels): block for kind in kinds for block in self.of(kind)}  # type: ignore[misc]

    def source(self, call: Block) -> Path:
        """The directory of a called module."""
        source = call.attributes.get("source")
        return (self.path / str(source.literal if source else "")).resolve()


def read(directory: Path) -> Module:
    """The module in a directory; a file that cannot be parsed is among the `broken`, with line and reason."""
    blocks: list[Block] = []
    broken: list[tuple[Path, int, str]] = []
    for path in sorted(directory.glob("*.tf")):
        text = path.read_text(encoding="utf-8")
        try:
            body = hcl2.parses(text if text.endswith("\n") else text + "\n").body
            blocks.extend(_blocks(body, text, path))
        except LarkError as error:
            broken.append((path, getattr(error, "line", 0), str(error).splitlines()[0]))
    return Module(directory, tuple(blocks), tuple(broken))


def _blocks(body: Any, text: str, path: Path) -> Iterator[Block]:
    for child in body.children:
        if child is not None and child.lark_name() == "block":
            kind, *labels = (str(label.serialize()).strip('"') for label in child.labels)
            attributes = {attribute.name: attribute for attribute in _attributes(child.body, text)}
            yield Block(kind, tuple(labels), _place(child).line, path, attributes, tuple(_blocks(child.body, text, path)))


def _attributes(body: Any, text: str) -> Iterator[Attribute]:
    for child in body.children:
        if child is not None and child.lark_name() == "attribute":
            place = _place(child.expression)
            written = text[place.start_pos : place.end_pos]
            yield Attribute(str(child.identifier.serialize()), _place(child).line, written, child.expression.serialize())


def _place(rule: Any) -> Any:
    return rule._meta  # noqa: SLF001 - python-hcl2 has no public name for where a rule stands


def references(expression: str) -> Iterator[tuple[str, ...]]:
    """What an expression names: `("var", "x")`, `("aws_kms_key", "k", "[]", "arn")`. Words within strings are none."""
    code = _code(expression)
    for found in _REFERENCE.finditer(code):
        steps = [INDEX if step[2] else step[1] for step in _STEP.finditer(re.sub(_BRACKETS, "[", found[2]))]
        yield (found[1], *steps)
        for inner in re.findall(_BRACKETS, found[2]):
            yield from references(inner[1:-1])


def strings(expression: str) -> Iterator[str]:
    """The texts in quotes in an expression, interpolations left out."""
    quoted: list[str] = []
    _code(expression, quoted)
    return iter(quoted)


def _code(expression: str, quoted: list[str] | None = None) -> str:
    """The expression with its strings emptied and their interpolations beside them."""
    if expression.lstrip().startswith("<<"):
        return " ".join(re.findall(r"\$\{([^}]*)\}", expression))
    return _Reader(expression, quoted if quoted is not None else []).code()


class _Reader:
    """Goes through an expression once. Strings hold interpolations, which hold expressions, which hold strings."""

    def __init__(self, text: str, quoted: list[str]) -> None:
        self._text = text
        self._quoted = quoted
        self._at = 0

    def code(self, *, within: bool = False) -> str:
        """The code up to the end; `within` an interpolation, up to the brace that closes it."""
        code: list[str] = []
        depth = 0
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 1
            if character == '"':
                code.append(self._string())
            elif character == "#" or self._text.startswith("//", self._at - 1):
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            else:
                depth += {"{": 1, "}": -1}.get(character, 0)
                if depth < 0 and within:
                    break
                code.append(character)
        return "".join(code)

    def _string(self) -> str:
        """Behind an opening quote: the code of its interpolations, in brackets, and a word in place of the text."""
        code, text = ["__"], []
        while self._at < len(self._text):
            rest = self._text[self._at : self._at + 3]
            if rest.startswith("${"):
                self._at += 2
                code.append(f" ( {self.code(within=True)} ) ")
                continue
            self._at += 2 if rest.startswith("\\") else 3 if rest == "$${" else 1
            if rest.startswith('"'):
                break
            text.append(rest[:1])
        self._quoted.append("".join(text))
        return "".join(code)
