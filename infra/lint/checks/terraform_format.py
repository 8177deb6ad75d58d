"""Terraform's files as `terraform fmt` leaves them, so far as the = goes: in one column, where lines follow each other."""

import re
from collections.abc import Iterator

from infra.lint.finding import Finding
from infra.lint.tree import TERRAFORM, Tree

_ATTRIBUTE = re.compile(r"^(\s*)([\w-]+|\"[^\"]*\"|\([^)]*\))\s*=\s*(?![=>])(\S.*)$")


def check(tree: Tree) -> Iterator[Finding]:
    """Lines that are written otherwise; `python -m infra.lint.checks.terraform_format` writes them so."""
    for path in tree.files("*.tf", below=TERRAFORM):
        text = path.read_text(encoding="utf-8")
        for number, (line, wanted) in enumerate(zip(text.split("\n"), formatted(text).split("\n"), strict=True), 1):
            if line != wanted:
                yield Finding(tree.relative(path), number, "it is not formatted")


def formatted(text: str) -> str:
    """The text with its = aligned: as many lines as before."""
    lines = [line.rstrip() for line in text.split("\n")]
    group: list[tuple[int, re.Match[str]]] = []
    for number, line in enumerate([*lines, ""]):
        found = _ATTRIBUTE.match(line)
        # what opens several lines is aligned with nothing, and ends what is
        together = found and not line.endswith(("{", "[", "("))
        if not together or (group and found and found[1] != group[0][1][1]):
            _align(lines, group)
            group = []
        if found:
            group.append((number, found))
        if not together:
            _align(lines, group)
            group = []
    return "\n".join(lines)


def _align(lines: list[str], group: list[tuple[int, re.Match[str]]]) -> None:
    width = max((len(found[2]) for _, found in group), default=0)
    for number, found in group:
        lines[number] = f"{found[1]}{found[2]:<{width}} = {found[3]}"


if __name__ == "__main__":
    from infra.lint.application import ROOT

    for file in Tree(ROOT).files("*.tf", below=TERRAFORM):
        file.write_text(formatted(file.read_text(encoding="utf-8")), encoding="utf-8")
