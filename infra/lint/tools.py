"""The checkers that are programs: found, asked, and their answers turned into findings."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from infra.lint.application import ROOT
from infra.lint.finding import Finding
from infra.lint.tree import Tree

#: Where `make lint-infra` puts the checkers, and those of Debian's packages.
HOMES = (ROOT / ".venv-infra" / "bin", ROOT / ".prometheus" / "usr" / "bin")


class ToolMissing(Exception):
    """A checker is not there; the message says what brings it."""


class ToolFailed(Exception):
    """A checker did not do its work: what it would have found is not known. The message says what it did."""


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


def ask(
    tree: Tree, command: Sequence[str], *, stdin: str | None = None, codes: Collection[int] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a checker in the tree's root. `codes` are the exit codes by which it says that it has looked; None takes any.

    Raises:
        ToolMissing: it is not there.
        ToolFailed: it ended with another code.
    """
    return answered(
        subprocess.run(
            [tool(command[0]), *command[1:]], cwd=tree.root, input=stdin, capture_output=True, text=True, check=False
        ),
        command[0],
        codes,
    )


def answered(
    answer: subprocess.CompletedProcess[str], name: str, codes: Collection[int] | None
) -> subprocess.CompletedProcess[str]:
    """The answer of a checker that ended with one of these codes.

    Raises:
        ToolFailed: it did not.
    """
    if codes is not None and answer.returncode not in codes:
        said = " ".join((answer.stderr or answer.stdout).split())[-400:]
        raise ToolFailed(f"{name} ended with {answer.returncode}: {said or 'it says nothing'}")
    return answer


def told(answer: subprocess.CompletedProcess[str], name: str) -> Any:
    """The JSON that a checker printed.

    Raises:
        ToolFailed: it printed none.
    """
    try:
        return json.loads(answer.stdout)
    except json.JSONDecodeError as error:
        said = " ".join((answer.stderr or answer.stdout).split())[-400:]
        raise ToolFailed(f"{name} answered with no JSON: {said or 'it says nothing'}") from error


def lines_as_findings(tree: Tree, output: str, pattern: str) -> Iterator[Finding]:
    """The lines that match, whose groups are `path`, `line` and `message`."""
    for found in re.finditer(pattern, output, re.MULTILINE):
        path = Path(found["path"])
        yield Finding(tree.relative(path) if path.is_absolute() else path, int(found["line"]), found["message"])
