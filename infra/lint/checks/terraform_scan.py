"""Terraform by checkov: everything that it has to say is mended, or skipped beside the resource with the reason."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.lint.application import ROOT
from infra.lint.finding import Finding
from infra.lint.tools import ToolFailed, ToolMissing, answered, told
from infra.lint.tree import TERRAFORM, Tree

#: In an environment of its own: checkov's fork of the parser of HCL has the same name as the one that the other checks use.
CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"
#: Files that checkov cannot read, below infra/terraform, and why.
_UNREADABLE = {"modules/azure/observability/rules.tf": "its parser takes the argument `for` for the word of an expression"}
_SKIP = re.compile(r"#\s*checkov:skip=(\w+)(?::\s*(.*))?")


def check(tree: Tree) -> Iterator[Finding]:
    """What checkov finds, once for each place. Takes some twenty seconds of a processor.

    Raises:
        ToolMissing: checkov is not there.
        ToolFailed: it did not look.
    """
    for path in tree.files("*.tf", below=TERRAFORM):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if (found := _SKIP.search(line)) and not (found[2] or "").strip():
                yield Finding(tree.relative(path), number, f"{found[1]} is skipped without a reason")
    directory = tree.root / TERRAFORM
    reports = _reports(directory)
    unread = [Path(each) for report in reports for each in report.get("results", {}).get("parsing_errors", ())]
    if len(unread) != sum(_count(report, "parsing_errors") for report in reports):
        raise ToolFailed("checkov does not say which files it cannot read")
    for path in sorted(set(map(tree.relative, unread))):
        if str(path.relative_to(TERRAFORM)) not in _UNREADABLE:
            yield Finding(path, 0, "checkov cannot read it")
    if not sum(_count(report, "passed", "failed", "skipped") for report in reports):
        raise ToolFailed("checkov has looked at nothing")
    for failed in (each for report in reports for each in report.get("results", {}).get("failed_checks", ())):
        path = Path(TERRAFORM, str(failed["file_path"]).lstrip("/"))
        resource = str(failed["resource"]).split("[")[0]
        thing = ".".join(resource.split(".")[-2:])
        yield Finding(path, int(failed["file_line_range"][0]), f"{failed['check_id']} {thing}: {failed['check_name']}")


def _reports(directory: Path) -> list[dict[str, Any]]:
    if not CHECKOV.exists():
        raise ToolMissing("checkov is not there: `make lint-infra` installs it")
    command = [str(CHECKOV), "-d", str(directory), "--framework", "terraform", "--output", "json", "--compact"]
    # it asks nobody: neither for other checks nor for a newer self
    quiet = {"CHECKOV_RENDER_MAX_LEN": "0", "LOG_LEVEL": "ERROR", "BC_SKIP_MAPPING": "TRUE"}
    answer = subprocess.run([*command, "--skip-download"], capture_output=True, text=True, check=False, env=os.environ | quiet)
    reports = told(answered(answer, "checkov", (0, 1)), "checkov")
    return reports if isinstance(reports, list) else [reports]


def _count(report: dict[str, Any], *names: str) -> int:
    """Of what a report counts; one in which nothing was looked at has its numbers outside of `summary`."""
    numbers = report.get("summary", report)
    try:
        return sum(int(numbers[name]) for name in names)
    except KeyError as error:
        raise ToolFailed(f"checkov does not count what it looked at: {sorted(numbers)}") from error
