"""Following jobs to their end behind a progress bar."""

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from server.cli.client import CallFailed, Platform

#: Between a stream that ends and the next look: a server that is about to leave ends each at once.
_PAUSE_S = 0.2


def follow(platform: Platform, jobs: list[str], *, title: str = "working") -> list[dict[str, Any]]:
    """Wait for every job, show how far they are together, and give back what each became."""
    finals: list[dict[str, Any]] = []
    progresses = dict.fromkeys(jobs, (0, 0))
    with bar() as progress:
        task = progress.add_task(title, total=None)

        def advance(job: str, state: dict[str, Any]) -> None:
            told = state.get("progress", state)
            if isinstance(told, dict) and "done" in told and "total" in told:
                progresses[job] = (int(told["done"]), int(told["total"]))
            done, total = (sum(column) for column in zip(*progresses.values(), strict=True))
            progress.update(task, completed=done, total=total or None)

        for job in jobs:
            advance(job, platform.get(f"/api/v1/jobs/{job}"))
        for job in jobs:
            while (state := _state(platform, job)) is None or state["finished_at"] is None:
                for event in platform.watch(f"/api/v1/jobs/{job}/events"):
                    if isinstance(event.data, dict):
                        advance(job, event.data)
                time.sleep(_PAUSE_S)
            advance(job, state)
            finals.append(state)
    return finals


def _state(platform: Platform, job: str) -> dict[str, Any] | None:
    """The job now; None where the platform is away, which is waited for elsewhere."""
    try:
        state: dict[str, Any] = platform.get(f"/api/v1/jobs/{job}")
    except CallFailed as failure:
        if failure.code != "unreachable":
            raise
        return None
    return state


def bar() -> Progress:
    """On stderr, so that what a command prints can be piped on."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
