"""The files that are checked: a checkout, or a test's copy of a part of one."""

import os
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from infra.lint.application import Application, collect

#: Where Terraform's files are.
TERRAFORM = "infra/terraform"
#: What is no part of the repository, wherever it lies.
_BESIDE = frozenset(
    {".git", ".venv", ".venv-infra", ".venv-checkov", ".bench", ".prometheus", ".haproxy", "__pycache__", "data", "dist"}
)


class Tree:
    """A directory with what the checks ask of it. `application` is collected at the first question where it is not given."""

    def __init__(self, root: Path, application: Application | None = None) -> None:
        self.root = root.resolve()
        if application is not None:
            self.application = application

    @cached_property
    def application(self) -> Application:
        """What the application has; see `infra.lint.application`."""
        return collect()

    def files(self, *patterns: str, below: str = "infra") -> Iterator[Path]:
        """The files below `below` that match any of the patterns (as `Path.match` has them), in order."""
        for directory, names, files in os.walk(self.root / below):
            names[:] = sorted(set(names) - _BESIDE)
            for name in sorted(files):
                path = Path(directory, name)
                if any(path.match(pattern) for pattern in patterns):
                    yield path

    def relative(self, path: Path) -> Path:
        """The path as findings name it."""
        return path.resolve().relative_to(self.root)

    def yaml(self, path: Path) -> list[Any]:
        """The documents of a YAML file, empty ones left out.

        Raises:
            yaml.YAMLError: it is none.
        """
        return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document is not None]


def line_of(text: str, pattern: str) -> int:
    """The line, from 1, of the first match of a regular expression; 0 where there is none."""
    found = re.search(pattern, text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 0


def line_at(text: str, path: str) -> int:
    """The line, from 1, of a value in YAML by its JSONPath (`$.jobs['a-b'].steps[0]`): the nearest that is there."""
    node, line = yaml.compose(text, yaml.SafeLoader), 1
    for quoted, number, name in re.findall(r"\['([^']*)'\]|\[(\d+)\]|\.([^.\[]+)", path):
        match node:
            case yaml.MappingNode():
                found = [pair for pair in node.value if pair[0].value == (quoted or name)]
            case yaml.SequenceNode() if number and int(number) < len(node.value):
                found = [(node.value[int(number)],) * 2]
            case _:
                found = []
        if not found:
            break
        line, node = found[0][0].start_mark.line + 1, found[0][1]
    return line
