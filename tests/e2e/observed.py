"""What rules and dashboards ask for, and a real Prometheus that is asked."""

import json
import os
import re
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from infra.running import ROOT, free_port, wait_until

RULES = [*sorted((ROOT / "infra/prometheus").glob("*-rules.yml")), ROOT / "infra/prometheus/alerts.yml"]
DASHBOARDS = sorted((ROOT / "infra/grafana").glob("*.json"))
#: The comparisons of an alert, which give nothing while all is well.
_COMPARED = re.compile(r"(==|!=|>=|<=|>|<) (?=[\d(a-z])")


def rules() -> list[dict[str, Any]]:
    """Every rule."""
    files = [yaml.safe_load(path.read_text()) for path in RULES]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def asked_by_dashboards() -> Iterator[tuple[str, str]]:
    """(what of which dashboard, expression)."""
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", target["expr"].replace("$__rate_interval", "1m")


def asked_by_rules() -> Iterator[tuple[str, str]]:
    """(which rule, expression); an alert's comparisons tell 0 or 1, so that there is always an answer."""
    for rule in rules():
        if "alert" in rule:
            yield rule["alert"], _COMPARED.sub(r"\1 bool ", rule["expr"])
        else:
            yield rule["record"], rule["expr"]


def prometheus_folder() -> Path:
    """Where prometheus and promtool are. Without them the test is skipped loudly, or fails where REQUIRE_PROMETHEUS is set."""
    found = subprocess.run(["sh", "infra/setup/find-prometheus"], cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode == 0:
        return ROOT / found.stdout.strip()
    message = "NO PROMETHEUS: rules and dashboards were not asked of a real one. " + found.stderr.strip()
    if os.environ.get("REQUIRE_PROMETHEUS"):
        pytest.fail(message)
    warnings.warn(message, stacklevel=1)
    pytest.skip(message)


class Prometheus:
    """A server that scrapes one platform each second."""

    def __init__(self, port: int) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False)

    def ready(self) -> bool:
        try:
            return self._client.get("/-/ready").status_code == 200
        except httpx.HTTPError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that the expression gives now."""
        answer = self._client.post("/api/v1/query", data={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def total(self, expression: str) -> float:
        """The sum over all of them."""
        return sum(float(series["value"][1]) for series in self.query(expression))

    def problems(self) -> list[str]:
        """Rules that could not be evaluated."""
        groups = self._client.get("/api/v1/rules").json()["data"]["groups"]
        return [f"{rule['name']}: {rule['lastError']}" for group in groups for rule in group["rules"] if rule.get("lastError")]


@contextmanager
def prometheus(directory: Path, target: str, token: str) -> Iterator[Prometheus]:
    """A Prometheus that scrapes `target` (host:port), with the platform's rules."""
    (directory / "token").write_text(token)
    scrape = {
        "job_name": "genai",
        "authorization": {"credentials_file": str(directory / "token")},
        "static_configs": [{"targets": [target]}],
    }
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in RULES],
        "scrape_configs": [scrape],
    }
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        str(prometheus_folder() / "prometheus"),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (directory / "log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    started = Prometheus(port)
    try:
        wait_until(started.ready, within_s=60, what="Prometheus")
        yield started
    finally:
        process.terminate()
        process.wait(30)
