"""The list of an environment's packages."""

import json
import subprocess
import sysconfig
from importlib.metadata import version
from pathlib import Path

from infra.lint.application import ROOT
from tests.infra.planted import CHECKERS, needs_checkers


@needs_checkers
def test_each_package_is_listed_with_its_version_and_licence(tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    command = [str(CHECKERS), "-m", "infra.docker.sbom", sysconfig.get_path("purelib"), str(file)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    listed = {each["name"]: each for each in json.loads(file.read_text())["components"]}
    assert listed["fastapi"]["purl"] == f"pkg:pypi/fastapi@{version('fastapi')}"
    assert listed["fastapi"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert {"langchain-core", "greenlet", "uvicorn"} <= set(listed)


@needs_checkers
def test_an_environment_without_packages_has_no_list(tmp_path: Path) -> None:
    command = [str(CHECKERS), "-m", "infra.docker.sbom", str(tmp_path), str(tmp_path / "sbom.json")]
    assert subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode == 1
