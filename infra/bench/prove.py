"""`make prove`: the promises at their full counts. What has been proved at this commit is not proved again; --again does."""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from infra.bench import promises
from infra.running import ROOT, Running, running

RECORD = ROOT / ".prove.json"
Figures = dict[str, float]


def start(place: Path) -> Figures:
    """Live within 3 s and ready within 15 s of the command, five times."""
    worst = {"live_s": 0.0, "ready_s": 0.0}
    for _ in range(5):
        platform = Running(place)
        for name, seconds in promises.start_times(platform).items():
            worst[name] = max(worst[name], seconds)
        platform.stop()
    assert worst["live_s"] <= 3, worst
    assert worst["ready_s"] <= 15, worst
    return worst


def first_answer(place: Path) -> Figures:
    """The first cited answer within 60 s of the command, on an empty data directory."""
    platform = Running(place)
    try:
        figures = promises.first_cited_answer(platform)
    finally:
        platform.stop()
    assert figures["first_cited_answer_s"] <= 60, figures
    return figures


def memory(place: Path) -> Figures:
    """Under 300 MB (PSS, all processes) before the chat model is loaded."""
    with running(place, GENAI_LOCAL__WARM="false") as platform:
        time.sleep(10)
        figures = {"pss_mb": promises.proportional_memory(platform)}
    assert figures["pss_mb"] < 300, figures
    return figures


def crash(place: Path) -> Figures:
    """Kill -9 three times during an ingestion of 200 files: each ends in the collection exactly once."""
    with running(place, GENAI_HANDBOOK="false") as platform:
        return promises.killed_ingestion(platform, files=200, kills=(0.1, 0.4, 0.8))


def searches(place: Path) -> Figures:
    """32 searches at once during an ingestion of 200 files: none fails, health p95 under 250 ms."""
    with running(place) as platform:
        figures = asyncio.run(promises.searches_during_ingestion(platform, files=200, at_once=32))
    assert figures["health_p95_ms"] < 250, figures
    return figures


def queue(place: Path) -> Figures:
    """60 generations at once for 2 slots and a queue of 16: what has no room gets 429 with Retry-After."""
    with running(place, GENAI_HANDBOOK="false") as platform:
        return asyncio.run(promises.more_generations_than_room(platform, room=18, callers=60, max_tokens=60))


def bad_input(place: Path) -> Figures:
    """Every hostile body on every route, on SQLite and PostgreSQL."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/e2e/test_bad_input.py", f"--basetemp={place}"], cwd=ROOT, check=False
    )
    assert done.returncode == 0
    return {}


PARTS: dict[str, Callable[[Path], Figures]] = {
    part.__name__: part for part in (start, first_answer, memory, crash, searches, queue, bad_input)
}


def main() -> int:
    """Run what is not yet proved at this commit; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(prog="make prove", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--list", action="store_true", help="name the parts and leave")
    parser.add_argument("--again", action="store_true", help="run also what is proved already")
    chosen = parser.parse_args()
    console = Console(highlight=False)
    if chosen.list:
        for name, part in PARTS.items():
            console.print(f"{name:<14}{part.__doc__}")
        return 0
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"there is no part {sorted(unknown)[0]}")
    proved = {} if chosen.again else _proved()
    broken = 0
    for name in chosen.parts or PARTS:
        if name in proved:
            console.print(f"{name}: kept (proved before) {_shown(proved[name])}")
            continue
        console.print(f"{name}: {PARTS[name].__doc__}")
        try:
            with tempfile.TemporaryDirectory(prefix="genai-prove-") as place:
                proved[name] = PARTS[name](Path(place) / "platform")
            console.print(f"{name}: kept {_shown(proved[name])}")
            RECORD.write_text(json.dumps({"state": _state(), "proved": proved}, indent=2))
        except (AssertionError, RuntimeError, TimeoutError) as failure:
            broken += 1
            console.print(f"{name}: BROKEN {failure}", markup=False)
    return 1 if broken else 0


def _state() -> str:
    """Which code was proved: the commit, and what differs from it."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    difference = subprocess.run(["git", "diff", "HEAD", "--stat"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return head + difference


def _proved() -> dict[str, Figures]:
    try:
        record = json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return {}
    return dict(record["proved"]) if record.get("state") == _state() else {}


def _shown(figures: Figures) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())


if __name__ == "__main__":
    sys.exit(main())
