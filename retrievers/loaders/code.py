"""The structure of source code: one section for each definition, by the language's published grammar (tree-sitter)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from retrievers.base import Section

if TYPE_CHECKING:
    from tree_sitter import Node
    from tree_sitter_language_pack import SupportedLanguage

#: A longer file is generated, or data, and takes a parser many times its size in memory: it stays one section.
_MOST_CHARACTERS = 2_000_000
_MOST_SECTIONS = 20_000
_HEADING_CHARACTERS = 200
#: Definitions within definitions that have a section of their own: a namespace, its class, the class's class, its method.
_DEPTH = 5


@dataclass(frozen=True, slots=True)
class _Shape:
    """Nodes of a grammar: `definitions` are a section, `containers` are those whose inside is looked through as well."""

    definitions: frozenset[str]
    containers: frozenset[str]


def _shape(definitions: str, containers: str) -> _Shape:
    return _Shape(frozenset(f"{definitions} {containers}".split()), frozenset(containers.split()))


_SCRIPT = "function_declaration generator_function_declaration method_definition lexical_declaration"
_TYPED = _shape(
    f"{_SCRIPT} function_signature type_alias_declaration enum_declaration interface_declaration",
    "class_declaration abstract_class_declaration internal_module module",
)
_C = "function_definition type_definition enum_specifier"
#: By language. The names of nodes are its grammar's.
_SHAPES: "dict[SupportedLanguage, _Shape]" = {
    "python": _shape("function_definition", "class_definition"),
    "javascript": _shape(_SCRIPT, "class_declaration"),
    "typescript": _TYPED,
    "tsx": _TYPED,
    "java": _shape(
        "method_declaration constructor_declaration annotation_type_declaration",
        "class_declaration interface_declaration enum_declaration record_declaration",
    ),
    "go": _shape("function_declaration method_declaration type_declaration", ""),
    "rust": _shape("function_item struct_item enum_item union_item macro_definition", "impl_item trait_item mod_item"),
    "c": _shape(f"{_C} struct_specifier union_specifier", ""),
    "cpp": _shape(_C, "struct_specifier union_specifier class_specifier namespace_definition"),
    "csharp": _shape(
        "method_declaration constructor_declaration enum_declaration delegate_declaration",
        "class_declaration interface_declaration struct_declaration record_declaration namespace_declaration",
    ),
    "ruby": _shape("method singleton_method", "class module"),
    "php": _shape(
        "function_definition method_declaration enum_declaration",
        "class_declaration interface_declaration trait_declaration namespace_definition",
    ),
    "kotlin": _shape("function_declaration", "class_declaration object_declaration companion_object"),
    "swift": _shape("function_declaration init_declaration", "class_declaration protocol_declaration"),
    "scala": _shape("function_definition", "class_definition object_definition trait_definition"),
    "lua": _shape("function_declaration", ""),
    "bash": _shape("function_definition", ""),
}
#: What stands in front of a definition and belongs to it.
_LEADING = ("comment", "attribute", "annotation", "decorator")


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Bytes `[start:end]` of the source under a path of definitions."""

    start: int
    end: int
    heading: tuple[str, ...]


def code_sections(text: str, language: str | None) -> tuple[Section, ...]:
    """Sections that cover the text: each definition with the comments and decorators in front of it, under a path of what it
    stands in (`class Ledger`, `def settle(self, call)`); what lies between definitions apart. One section where the language is
    none of `_SHAPES`, or the text is longer than `_MOST_CHARACTERS`. Code with errors is read as far as it can be.
    """
    whole = (Section(0, len(text), kind="code", language=language),)
    shape = _SHAPES.get(cast("SupportedLanguage", language))
    if shape is None or len(text) > _MOST_CHARACTERS:
        return whole
    from tree_sitter_language_pack import get_parser

    source = text.encode()
    tree = get_parser(cast("SupportedLanguage", language)).parse(source)
    found = list(_stretches(tree.root_node, source, shape, (), _DEPTH))
    if not found or len(found) > _MOST_SECTIONS:
        return whole
    # each goes on to where the next begins: nothing between them is lost
    starts = [0, *(stretch.start for stretch in found[1:]), len(source)]
    places = _characters(text, source, starts)
    return tuple(
        Section(start, end, heading=stretch.heading, kind="code", language=language)
        for (start, end), stretch in zip(pairwise(places), found, strict=True)
        if start < end
    )


def _stretches(node: "Node", source: bytes, shape: _Shape, path: tuple[str, ...], depth: int) -> Iterator[_Stretch]:
    """A node's definitions in order, with what lies in front of, between and behind them."""
    position = node.start_byte if path else 0
    for outer, definition in _definitions(node, shape):
        start = _line_start(source, _with_leading(outer, source))
        if start < position:  # two on one line
            start = max(position, outer.start_byte)
        if _says(source[position:start]):
            yield _Stretch(position, start, path)
        heading = (*path, _signature(definition, source))
        if definition.type in shape.containers and depth > 1:
            inside = [*_stretches(definition, source, shape, heading, depth - 1)]
            yield _Stretch(start, inside[0].end, inside[0].heading) if inside else _Stretch(start, outer.end_byte, heading)
            yield from inside[1:]
        else:
            yield _Stretch(start, outer.end_byte, heading)
        position = max(position, outer.end_byte)
    if _says(source[position : node.end_byte]):
        yield _Stretch(position, node.end_byte, path)


def _definitions(node: "Node", shape: _Shape) -> "Iterator[tuple[Node, Node]]":
    """The next definitions below a node, in order, each with the outermost node that is about it alone (`export`, a decorator,
    a template)."""
    # a stack in the place of recursion: how deep a file is nested is its author's choice
    waiting = [(child, child) for child in reversed(node.named_children)]
    while waiting:
        outer, inner = waiting.pop()
        if inner.type in shape.definitions and _defines(inner):
            yield outer, inner
        elif inner.type in ("decorated_definition", "export_statement", "template_declaration", "ambient_declaration"):
            waiting += [(outer, child) for child in reversed(inner.named_children) if child.type in shape.definitions]
        elif inner.type in _BODIES:
            waiting += [(child, child) for child in reversed(inner.named_children)]


#: What holds definitions and is none.
_BODIES = frozenset({
    "block", "class_body", "declaration_list", "field_declaration_list", "statement_block", "interface_body", "enum_body",
    "enum_body_declarations", "body_statement", "template_body", "preproc_ifdef", "preproc_if", "preproc_else",
    "linkage_specification", "compound_statement", "expression_statement", "declaration", "if_statement",
})  # fmt: skip


#: What a name is given where that makes it a definition.
_GIVEN = frozenset({"arrow_function", "function_expression", "generator_function", "class"})


def _defines(node: "Node") -> bool:
    """Whether it is a definition and not a mention (`struct point p;`) or a value (`const limit = 3`)."""
    if node.type == "lexical_declaration":
        given = (child.child_by_field_name("value") for child in node.named_children)
        return any(value is not None and value.type in _GIVEN for value in given)
    return not node.type.endswith("_specifier") or node.child_by_field_name("body") is not None


def _says(source: bytes) -> bool:
    """Whether there is more than the ends of what stands before."""
    return any(byte > 127 or chr(byte).isalnum() for byte in source.replace(b"end", b""))


def _with_leading(node: "Node", source: bytes) -> int:
    """Where it begins with the comments and attributes right above it; not those behind other code on its line."""
    first = node
    while (above := first.prev_sibling) is not None:
        if not any(mark in above.type for mark in _LEADING) or above.end_point.row < first.start_point.row - 1:
            break
        if source[source.rfind(b"\n", 0, above.start_byte) + 1 : above.start_byte].strip():
            break
        first = above
    return first.start_byte


def _line_start(source: bytes, position: int) -> int:
    """Where the line begins on which only blanks stand in front of the position; else the position."""
    start = source.rfind(b"\n", 0, position) + 1
    return position if source[start:position].strip() else start


def _signature(node: "Node", source: bytes) -> str:
    """What stands in front of its body, in one line; its first line where it has none."""
    body = node.child_by_field_name("body")
    if body is None:
        head = source[node.start_byte : node.end_byte].split(b"\n", 1)[0]
    else:
        note = next((child for child in node.children if "comment" in child.type), body)
        head = source[node.start_byte : min(note.start_byte, body.start_byte)]
    words = " ".join(head[: 4 * _HEADING_CHARACTERS].decode(errors="ignore").split())
    return words.rstrip(" {:;=")[:_HEADING_CHARACTERS]


def _characters(text: str, source: bytes, offsets: Sequence[int]) -> list[int]:
    """Ascending offsets in the UTF-8 source as offsets in the text."""
    if len(source) == len(text):
        return list(offsets)
    places, at, place = [], 0, 0
    for offset in offsets:
        place += len(source[at:offset].decode())
        at = offset
        places.append(place)
    return places
