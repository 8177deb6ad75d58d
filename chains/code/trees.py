"""A parsed text's nodes, one after the other."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node, Tree


def parsed(code: str, language: str) -> "Tree":
    """The tree of code in a language that `languages.known` has."""
    from tree_sitter_language_pack import get_parser

    if language == "go" and not code.endswith("\n"):
        code += "\n"  # its grammar misses the last line's end
    return get_parser("python" if language == "python2" else language).parse(code.encode("utf-8", "replace"))  # type: ignore[arg-type]


def nodes(tree: "Tree", *, enters: Callable[["Node"], bool] = lambda _: True) -> Iterator["Node"]:
    """The nodes in the order of the text, a node before what is in it; in those alone that `enters` says yes to.

    Without recursion: hostile code is nested deeper than Python's stack.
    """
    cursor = tree.walk()
    climbing = False
    while True:
        node = cursor.node
        if not climbing and node is not None:
            yield node
            if enters(node) and cursor.goto_first_child():
                continue
        if cursor.goto_next_sibling():
            climbing = False
        elif cursor.goto_parent():
            climbing = True
        else:
            return
