"""Files that follow a published schema, Compose's and those of GitHub, by check-jsonschema and the schemas that it carries."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.lint.finding import Finding
from infra.lint.tools import ToolFailed, ask, told
from infra.lint.tree import Tree, line_at

#: Directory, patterns, and the schema's name.
_FILES = (
    ("infra/compose", ("compose*.yaml",), "vendor.compose-spec"),
    (".github/workflows", ("*.yml", "*.yaml"), "vendor.github-workflows"),
    (".github", ("dependabot.yml",), "vendor.dependabot"),
)


#: Characters of a message: a validator may put all of a value into it.
_LONGEST = 200


def check(tree: Tree) -> Iterator[Finding]:
    """What their schemas refuse."""
    for directory, patterns, schema in _FILES:
        files = list(tree.files(*patterns, below=directory))
        if not files:
            continue
        names = [str(tree.relative(file)) for file in files]
        command = ["check-jsonschema", "--builtin-schema", schema, "--output-format", "json", *names]
        answer = ask(tree, command, codes=(0, 1))
        report = told(answer, "check-jsonschema")
        findings = [*_refused(tree, report.get("errors", ())), *_unread(report.get("parse_errors", ()))]
        if answer.returncode and not findings:
            raise ToolFailed(f"check-jsonschema found something that it does not tell: {answer.stdout[-400:]}")
        yield from findings


def _refused(tree: Tree, errors: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """Of a value that may be one of several things the validator shows all of it: what is wrong with it is told by the one that
    comes closest."""
    for error in errors:
        closest = error.get("best_match") or error
        path, message = str(closest["path"]), " ".join(str(closest["message"]).split())
        shown = message if len(message) <= _LONGEST else f"{message[: _LONGEST // 2]} … {message[-_LONGEST // 2 :]}"
        text = (tree.root / error["filename"]).read_text(encoding="utf-8")
        yield Finding(Path(error["filename"]), line_at(text, path), f"{path}: {shown}")


def _unread(errors: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    for error in errors:
        yield Finding(Path(error["filename"]), 0, error["message"])
