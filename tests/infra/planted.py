"""Copies of the repository's infra/ with a mistake planted in it, and what a check says of them."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from infra.lint.application import ROOT, Application
from infra.lint.checks import load
from infra.lint.tree import Tree

CHECKERS = ROOT / ".venv-infra" / "bin" / "python"
#: For tests of a check that asks a program or a library of `.venv-infra`.
needs_checkers = pytest.mark.skipif(
    not CHECKERS.exists() and "REQUIRE_CHECKERS" not in os.environ, reason="make lint-infra has not made .venv-infra"
)


def copied(directory: Path, *parts: str) -> Tree:
    """A tree of these files and directories of the repository alone, to plant a mistake in."""
    for part in parts:
        source, target = ROOT / part, directory / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    return Tree(directory)


def replaced(tree: Tree, path: str, old: str, new: str) -> None:
    """Plant a mistake: one text of a file in place of another, which must be there."""
    file = tree.root / path
    text = file.read_text(encoding="utf-8")
    assert old in text, f"{path} no longer has {old!r}"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def said(check: str, tree: Tree) -> list[str]:
    """The findings of a check that needs no package but the platform's own."""
    return sorted(str(finding) for finding in load(check)(tree))


def said_by_checkers(check: str, tree: Tree, tmp_path: Path, application: Application | None = None) -> list[str]:
    """The findings of a check, run where `make lint-infra` runs it."""
    told: Iterable[str] = ()
    if application is not None:
        application.write(tmp_path / "application.json")
        told = ("--application", str(tmp_path / "application.json"))
    python = str(CHECKERS) if CHECKERS.exists() else sys.executable
    command = [python, "-m", "infra.lint", "--root", str(tree.root), *told, check]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if answer.returncode == 2 and "REQUIRE_CHECKERS" not in os.environ:
        pytest.skip(answer.stderr.strip())
    assert answer.returncode in (0, 1), answer.stderr
    return [re.sub(rf" \[{check}\]$", "", line) for line in answer.stdout.splitlines()]
