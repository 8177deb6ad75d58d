"""The checkers that are programs: found, asked, and their answers turned into findings."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from infra.lint.application import ROOT
from infra.lint.finding import Finding
from infra.lint.tree import Tree

#: Where `make lint-infra` puts the checkers, and those of Debian's packages.
HOMES = (ROOT / ".venv-infra" / "bin", ROOT / ".prometheus" / "usr" / "bin")


class ToolMissing(Exception):
    """A checker is not there; the message says what brings it."""


def tool(name: str) -> str:
    """The path of a checker: one that `make lint-infra` has put here before one of the machine's own.

    Raises:
        ToolMissing: it is not there.
    """
    for directory in (Path(sys.executable).parent, *HOMES):
        if (directory / name).exists():
            return str(directory / name)
    if (found := shutil.which(name)) is not None:
        return found
    raise ToolMissing(f"{name} is not there: `make lint-infra` installs it")


def ask(tree: Tree, command: Sequence[str], *, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a checker in the tree's root; what it answered, whatever its exit code."""
    return subprocess.run(
        [tool(command[0]), *command[1:]], cwd=tree.root, input=stdin, capture_output=True, text=True, check=False
    )


def lines_as_findings(tree: Tree, output: str, pattern: str) -> Iterator[Finding]:
    """The lines that match, whose groups are `path`, `line` and `message`."""
    for found in re.finditer(pattern, output, re.MULTILINE):
        path = Path(found["path"])
        yield Finding(tree.relative(path) if path.is_absolute() else path, int(found["line"]), found["message"])
