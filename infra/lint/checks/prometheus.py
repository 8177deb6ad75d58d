"""Prometheus' rules and their tests, its configuration and Alertmanager's, by promtool and amtool."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from infra.lint.finding import Finding
from infra.lint.tools import ask
from infra.lint.tree import Tree

_RULES = "infra/prometheus"
_CONFIGURATION = Path("infra/compose/config/prometheus.yml")
_ALERTMANAGER = Path("infra/compose/config/alertmanager.yml")


def check(tree: Tree) -> Iterator[Finding]:
    """What either tool refuses. A rule that no longer does what its test says is refused as well."""
    for file in tree.files("*.yml", below=_RULES):
        relative = tree.relative(file)
        does = ["test", "rules"] if file.name.endswith("-test.yml") else ["check", "rules", "--lint=all", "--lint-fatal"]
        yield from _refused(tree, relative, ["promtool", *does, str(relative)])
    # its rules and its token are where the containers have them
    yield from _refused(tree, _CONFIGURATION, ["promtool", "check", "config", "--syntax-only", str(_CONFIGURATION)])
    yield from _refused(tree, _ALERTMANAGER, ["amtool", "check-config", str(_ALERTMANAGER)])


def _refused(tree: Tree, path: Path, command: Sequence[str]) -> Iterator[Finding]:
    answer = ask(tree, command)
    if answer.returncode:
        said = " ".join((answer.stdout + answer.stderr).split())
        where = re.search(r"line (\d+)|:(\d+):\d+", said)
        yield Finding(path, int(where[1] or where[2]) if where else 0, f"{command[0]}: {said[-400:]}")
