"""Terraform by checkov: everything that it has to say is mended, or skipped beside the resource with the reason."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.lint.application import ROOT
from infra.lint.finding import Finding
from infra.lint.stacks import TERRAFORM
from infra.lint.tools import ToolMissing
from infra.lint.tree import Tree

#: In an environment of its own: checkov's fork of the parser of HCL has the same name as the one that the other checks use.
CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"
_SKIP = re.compile(r"#\s*checkov:skip=(\w+)(?::\s*(.*))?")


def check(tree: Tree) -> Iterator[Finding]:
    """What checkov finds, once for each place. Takes some twenty seconds of a processor.

    Raises:
        ToolMissing: checkov is not there.
    """
    for path in tree.files("*.tf", below=TERRAFORM):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if (found := _SKIP.search(line)) and not (found[2] or "").strip():
                yield Finding(tree.relative(path), number, f"{found[1]} is skipped without a reason")
    directory = tree.root / TERRAFORM
    for failed in _failed(directory):
        path = Path(TERRAFORM, str(failed["file_path"]).lstrip("/"))
        resource = str(failed["resource"]).split("[")[0]
        thing = ".".join(resource.split(".")[-2:])
        yield Finding(path, int(failed["file_line_range"][0]), f"{failed['check_id']} {thing}: {failed['check_name']}")


def _failed(directory: Path) -> list[dict[str, Any]]:
    if not CHECKOV.exists():
        raise ToolMissing("checkov is not there: `make lint-infra` installs it")
    command = [str(CHECKOV), "-d", str(directory), "--framework", "terraform", "--output", "json", "--quiet", "--compact"]
    # it asks nobody: neither for other checks nor for a newer self
    quiet = {"CHECKOV_RENDER_MAX_LEN": "0", "LOG_LEVEL": "ERROR", "BC_SKIP_MAPPING": "TRUE"}
    answer = subprocess.run([*command, "--skip-download"], capture_output=True, text=True, check=False, env=os.environ | quiet)
    told = json.loads(answer.stdout or "[]")
    reports = told if isinstance(told, list) else [told]
    return [failed for report in reports for failed in report.get("results", {}).get("failed_checks", ())]
