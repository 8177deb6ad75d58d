"""Every shell script, by shellcheck."""

from collections.abc import Iterator
from pathlib import Path

from infra.lint.finding import Finding
from infra.lint.tools import ToolFailed, ask, lines_as_findings
from infra.lint.tree import Tree

_LINE = r"^(?P<path>[^:\n]+):(?P<line>\d+):\d+: (?P<message>.+)$"


def check(tree: Tree) -> Iterator[Finding]:
    """Everything that shellcheck has to say, hints included."""
    directories = (directory for directory in ("infra", ".ci") if (tree.root / directory).is_dir())
    scripts = [file for directory in directories for file in tree.files("*", below=directory) if _is_shell(file)]
    if scripts:
        answer = ask(tree, ["shellcheck", "--format=gcc", *map(str, map(tree.relative, scripts))], codes=(0, 1))
        found = list(lines_as_findings(tree, answer.stdout, _LINE))
        if answer.returncode and not found:
            raise ToolFailed(f"shellcheck found something that cannot be read: {answer.stdout[-400:]}")
        yield from found


def _is_shell(file: Path) -> bool:
    with file.open("rb") as opened:
        first = opened.readline(100)
    return first.startswith(b"#!") and first.split(b"/")[-1].split()[-1] in (b"sh", b"bash", b"dash")
