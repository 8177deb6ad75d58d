"""A checker that does not look has not found nothing: the check fails."""

import json
import sys
from pathlib import Path

import pytest

from infra.lint import tools
from infra.lint.__main__ import main
from infra.lint.checks import image, schemas, shell, terraform_scan
from infra.lint.tools import ToolFailed
from infra.lint.tree import Tree, line_at

TERRAFORM = "infra/terraform/main.tf"
FILES = {
    "infra/clean": "#!/bin/sh\n",
    "infra/docker/Dockerfile": "FROM scratch\n",
    "infra/compose/compose.yaml": "services: {}\n",
    TERRAFORM: 'resource "a" "b" {}\n',
}
LOOKED = {"passed": 1, "failed": 0, "skipped": 0, "parsing_errors": 0, "resource_count": 1}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return Tree(tmp_path)


def answering(monkeypatch: pytest.MonkeyPatch, directory: Path, name: str, says: str, code: int) -> None:
    """Put a checker in place of the real one."""
    program = directory / "checkers" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.stdout.write({says!r})\nsys.exit({code})\n")
    program.chmod(0o755)
    monkeypatch.setattr(tools, "tool", lambda asked: str(program.with_name(asked)))
    monkeypatch.setattr(terraform_scan, "CHECKOV", program)


@pytest.mark.parametrize(
    ("check", "name", "says", "code", "why"),
    [
        (terraform_scan.check, "checkov", "", 2, "checkov ended with 2"),
        (terraform_scan.check, "checkov", "", 0, "answered with no JSON"),
        (terraform_scan.check, "checkov", "Traceback", 1, "answered with no JSON: Traceback"),
        (terraform_scan.check, "checkov", "[]", 0, "has looked at nothing"),
        (terraform_scan.check, "checkov", '{"checkov_version": "9"}', 0, "does not count what it looked at"),
        (shell.check, "shellcheck", "", 3, "shellcheck ended with 3"),
        (shell.check, "shellcheck", "In infra/clean line 2:\n", 1, "something that cannot be read"),
        (image.check, "hadolint", "", 1, "hadolint ended with 1"),
        (image.check, "hadolint", "", 0, "answered with no JSON"),
        (schemas.check, "check-jsonschema", "{}", 2, "check-jsonschema ended with 2"),
        (schemas.check, "check-jsonschema", "usage", 1, "answered with no JSON: usage"),
        (schemas.check, "check-jsonschema", '{"status": "fail"}', 1, "something that it does not tell"),
    ],
)
def test_one_that_did_not_look_is_no_clean_bill(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, check: object, name: str, says: str, code: int, why: str
) -> None:
    answering(monkeypatch, tree.root, name, says, code)
    with pytest.raises(ToolFailed, match=why):
        list(check(tree))  # type: ignore[operator]


def test_files_that_checkov_cannot_read_are_found(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    def scanned(unread: int, *files: str) -> list[str]:
        results = {"parsing_errors": [str(tree.root / file) for file in files]}
        told = json.dumps({"results": results, "summary": LOOKED | {"parsing_errors": unread}})
        answering(monkeypatch, tree.root, "checkov", told, 0)
        return [str(each) for each in terraform_scan.check(tree)]

    assert scanned(1, TERRAFORM) == [f"{TERRAFORM}:1: checkov cannot read it"]
    assert scanned(0) == []
    with pytest.raises(ToolFailed, match="which files it cannot read"):
        scanned(1)


def test_the_run_fails_and_says_which(tree: Tree, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answering(monkeypatch, tree.root, "checkov", "", 0)
    assert main(["--root", str(tree.root), "terraform_scan"]) == 2
    assert capsys.readouterr().err.startswith("terraform_scan: checkov answered with no JSON")


def test_a_place_in_yaml_has_a_line() -> None:
    text = "jobs:\n  a-b:\n    steps:\n      - run: x\n      - uses: y\n"
    lines = [line_at(text, path) for path in ("$", "$.jobs['a-b']", "$.jobs['a-b'].steps[1].uses", "$.jobs.c")]
    assert lines == [1, 2, 5, 1]
