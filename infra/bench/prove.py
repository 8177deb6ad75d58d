"""`make prove`: the promises at their full counts. What has been proved at this commit is not proved again; --again does."""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import httpx
from rich.console import Console

from infra.bench.counts import SMALL, Counts, Figures
from infra.bench.parts import PARTS
from infra.running import ROOT

RECORD = ROOT / ".prove.json"


def main() -> int:
    """Run what is not yet proved at this commit; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(prog="make prove", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--list", action="store_true", help="name the parts and leave")
    parser.add_argument("--small", action="store_true", help="at small counts, to see that the parts work; records nothing")
    parser.add_argument("--again", action="store_true", help="run also what is proved already")
    parser.add_argument("--seed", type=int, help="draw the cases of the parts `openapi_…` from this, as one that was told did")
    chosen = parser.parse_args()
    console = Console(highlight=False)
    if chosen.list:
        for name, part in PARTS.items():
            console.print(f"{name:<20}{part.__doc__}")
        return 0
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"there is no part {sorted(unknown)[0]}")
    proved = {} if chosen.again or chosen.small else _proved()
    broken = 0
    for name in chosen.parts or PARTS:
        if name in proved:
            console.print(f"{name}: kept (proved before) {_shown(proved[name])}")
            continue
        console.print(f"{name}: {PARTS[name].__doc__}")
        started = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory(prefix="genai-prove-") as place:
                figures = PARTS[name](Path(place) / "platform", replace(SMALL if chosen.small else Counts(), seed=chosen.seed))
            proved[name] = figures | {"took_s": time.perf_counter() - started}
            console.print(f"{name}: {'works' if chosen.small else 'kept'} {_shown(proved[name])}")
            if not chosen.small:
                RECORD.write_text(json.dumps({"state": _state(), "proved": proved}, indent=2))
        except (AssertionError, RuntimeError, TimeoutError, httpx.HTTPError) as failure:
            broken += 1
            console.print(f"{name}: BROKEN {failure}", markup=False)
    return 1 if broken else 0


def _state() -> str:
    """Which code was proved: the commit, and what differs from it."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    difference = subprocess.run(["git", "diff", "HEAD"], cwd=ROOT, capture_output=True, check=False).stdout
    return f"{head} {hashlib.sha256(difference).hexdigest()}"


def _proved() -> dict[str, Figures]:
    try:
        record = json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return {}
    return dict(record["proved"]) if record.get("state") == _state() else {}


def _shown(figures: Figures) -> str:
    return ", ".join(f"{name} {value:.0f}" if value == int(value) else f"{name} {value:.4g}" for name, value in figures.items())


if __name__ == "__main__":
    sys.exit(main())
