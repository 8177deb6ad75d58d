"""What a piece of code defines, as its grammar sees it: certain, whatever a model then says about it."""

import re
from dataclasses import dataclass

from chains.code.languages import known
from chains.code.trees import nodes, parsed

MAX_DEFINITIONS = 100
_MAX_SIGNATURE = 200
DEFINES = re.compile(
    r"^(async_)?(function|method|class|struct|interface|enum|trait|impl|constructor)_(definition|declaration|item|specifier)$"
    r"|^(class|method|module|singleton_method|create_table|create_function)$"
)


@dataclass(frozen=True, slots=True)
class Definition:
    """A function, class or the like. `line` counts from 1; `signature` is its first line as it is written."""

    line: int
    signature: str


def outline(code: str, language: str) -> list[Definition]:
    """The definitions in the order of the text, at most a hundred; empty where no grammar knows the language.

    As `syntax.problems`, it is run by `chains.code.parsing`.
    """
    if language not in known():
        return []
    lines = code.splitlines()
    found: list[Definition] = []
    for node in nodes(parsed(code, language)):
        if len(found) >= MAX_DEFINITIONS:
            break
        if node.is_named and DEFINES.match(node.type):
            row = node.start_point[0]
            if row < len(lines) and (not found or found[-1].line != row + 1):
                signature = lines[row].strip().rstrip("{:").strip()[:_MAX_SIGNATURE]
                found.append(Definition(line=row + 1, signature=signature))
    return found
