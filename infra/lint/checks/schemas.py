"""Files that follow a published schema, Compose's and those of GitHub, by check-jsonschema and the schemas that it carries."""

import json
from collections.abc import Iterator
from pathlib import Path

from infra.lint.finding import Finding
from infra.lint.tools import ask
from infra.lint.tree import Tree

#: Directory, patterns, and the schema's name.
_FILES = (
    ("infra/compose", ("compose*.yaml",), "vendor.compose-spec"),
    (".github/workflows", ("*.yml", "*.yaml"), "vendor.github-workflows"),
    (".github", ("dependabot.yml",), "vendor.dependabot"),
)


def check(tree: Tree) -> Iterator[Finding]:
    """What their schemas refuse."""
    for directory, patterns, schema in _FILES:
        files = list(tree.files(*patterns, below=directory))
        if not files:
            continue
        names = [str(tree.relative(file)) for file in files]
        answer = ask(tree, ["check-jsonschema", "--builtin-schema", schema, "--output-format", "json", *names])
        told = json.loads(answer.stdout)
        for error in told.get("errors", ()):
            yield Finding(Path(error["filename"]), 0, f"{error['path']}: {error['message']}")
        for error in told.get("parse_errors", ()):
            yield Finding(Path(error["filename"]), 0, error["message"])
