"""Load by wrk: interleaved rounds of several targets, medians, and what the server's own processor time says.

Absolute figures move from machine to machine and with what else it does: ratios of one run count. The processor time of a
request is the figure that other work disturbs least.
"""

import json
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

_FIGURE = {
    "per_s": re.compile(r"Requests/sec:\s+([\d.]+)()"),
    "p50_ms": re.compile(r"\s50%\s+([\d.]+)(us|ms|s)"),
    "p99_ms": re.compile(r"\s99%\s+([\d.]+)(us|ms|s)"),
}
_REQUESTS = re.compile(r"(\d+) requests in")
_IN_MS = {"": 1.0, "us": 1e-3, "ms": 1.0, "s": 1e3}
_WARM_UP_S = 2


@dataclass(frozen=True)
class Target:
    """What is loaded: POST `body` to `url`. `pid` is the server's process, whose children count as well."""

    name: str
    url: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    pid: int | None = None


@dataclass(frozen=True)
class Round:
    """One round of one target. `calls` are those that the provider answered meanwhile; `cpu_ms` is per request."""

    requests: int
    calls: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    problem: str = ""

    def whole(self, connections: int) -> bool:
        """Whether every request reached the provider once; those under way at the end may have done so too."""
        return not self.problem and self.requests <= self.calls <= self.requests + connections


def has_wrk() -> bool:
    """Whether the load generator is installed (Debian: `wrk`)."""
    return shutil.which("wrk") is not None


def compare(
    targets: Sequence[Target], count: Callable[[], int], *, connections: int, rounds: int, seconds: int, scratch: Path
) -> dict[str, list[Round]]:
    """Load each target in turn, `rounds` times; by name, the rounds. `count` tells the provider's calls so far."""
    scripts = {target.name: _script(target, scratch / f"{number}.lua") for number, target in enumerate(targets)}
    results: dict[str, list[Round]] = {target.name: [] for target in targets}
    for target in targets:
        _load(target, scripts[target.name], count, connections, _WARM_UP_S)
    for _ in range(rounds):
        for target in targets:
            results[target.name].append(_load(target, scripts[target.name], count, connections, seconds))
    return results


def median(rounds: Sequence[Round], figure: str) -> float:
    """The median of a figure over the rounds."""
    return float(statistics.median(getattr(one, figure) for one in rounds))


def _script(target: Target, path: Path) -> Path:
    headers = {"content-type": "application/json", **target.headers}
    lines = ['wrk.method = "POST"', f"wrk.body = {json.dumps(json.dumps(target.body))}"]
    lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()]
    path.write_text("\n".join(lines))
    return path


def _load(target: Target, script: Path, count: Callable[[], int], connections: int, seconds: int) -> Round:
    calls, spent = count(), _cpu_s(target.pid)
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--latency",
        "--timeout",
        "30s",
        "-s",
        str(script),
        target.url,
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    made = count() - calls
    spent = _cpu_s(target.pid) - spent
    requests = int(match[1]) if (match := _REQUESTS.search(told)) else 0
    problem = next((line.strip() for line in told.splitlines() if "Non-2xx" in line or "Socket errors" in line), "")
    figures = {
        name: float(match[1]) * _IN_MS[match[2]] if (match := pattern.search(told)) else 0.0
        for name, pattern in _FIGURE.items()
    }
    return Round(requests, made, cpu_ms=spent * 1000 / max(requests, 1), problem=problem, **figures)


def _cpu_s(pid: int | None) -> float:
    """Processor seconds of a process and its children, user's and system's."""
    if pid is None:
        return 0.0
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))
