"""What the platform serves: how soon, how much memory it takes, and what it answers."""

import asyncio
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from infra.bench import gateway, promises, request_mix
from infra.bench.counts import Counts, Figures
from infra.running import ROOT, Running, running, wait_until


def start(place: Path, counts: Counts) -> Figures:
    """Live within 3 s and ready within 15 s of the command, five times."""
    worst = {"live_s": 0.0, "ready_s": 0.0}
    for _ in range(counts.starts):
        platform = Running(place)
        try:
            for name, seconds in promises.start_times(platform).items():
                worst[name] = max(worst[name], seconds)
        finally:
            platform.stop()
    assert worst["live_s"] <= 3, worst
    assert worst["ready_s"] <= 15, worst
    return worst


def first_answer(place: Path, _: Counts) -> Figures:
    """The first cited answer within 60 s of the command, on an empty data directory."""
    platform = Running(place)
    try:
        figures = promises.first_cited_answer(platform)
    finally:
        platform.stop()
    assert figures["first_cited_answer_s"] <= 60, figures
    return figures


def memory(place: Path, counts: Counts) -> Figures:
    """Under 300 MB (PSS, all processes), idle, with the handbook in place and before a local model is loaded."""
    with running(place, GENAI_LOCAL__WARM="false") as platform:
        with platform.client() as client:  # a first start has the handbook to read; idle is what comes after
            wait_until(lambda: bool(client.get("/api/v1/jobs").json()["results"]), within_s=30, what="the handbook's job")
            for job in client.get("/api/v1/jobs").raise_for_status().json()["results"]:
                platform.finished_job(client, job["id"])
            handbook = (
                "/api/v1/rag/collections/handbook"  # how to search it is tried once it is there, with the embedding model
            )
            wait_until(
                lambda: client.get(handbook).raise_for_status().json()["fusion"] is not None,
                within_s=120,
                what="its check of fusion",
            )
        platform.stop()
        platform.start()
        time.sleep(counts.settle_s)
        figures = {"pss_mb": promises.proportional_memory(platform)}
    assert figures["pss_mb"] < 300, figures
    return figures


def memory_of_requests(place: Path, counts: Counts) -> Figures:
    """After 100,000 requests of all kinds, failed and abandoned ones among them, at most 10 MB more than after 10,000."""
    early = counts.requests // 10
    with gateway.mock_provider() as provider, gateway.full_profile(place, provider) as platform:
        key = gateway.scoped_key(platform)
        asyncio.run(request_mix.make(platform, key, early))
        before = request_mix.resident_mb(platform)
        asyncio.run(request_mix.make(platform, key, counts.requests - early))
        figures = {"requests": counts.requests, "before_mb": before, "grown_mb": request_mix.resident_mb(platform) - before}
    assert figures["grown_mb"] <= 10, figures
    return figures


def queue(place: Path, counts: Counts) -> Figures:
    """60 generations at once for 2 slots and a queue of 16: what has no room gets 429 with Retry-After."""
    with running(place, GENAI_HANDBOOK="false") as platform:
        return asyncio.run(
            promises.more_generations_than_room(platform, room=18, callers=counts.callers, max_tokens=counts.max_tokens)
        )


def remote(place: Path, counts: Counts) -> Figures:
    """Every capability through RemoteRunnable from another process with a key: invoke, batch, stream, astream_events."""
    return _tests("tests/e2e/test_remote_runnable.py", place, "sqlite" if counts.is_small else "")


def bad_input(place: Path, counts: Counts) -> Figures:
    """Every hostile body on every route, LangServe's and streaming ones included."""
    return _tests("tests/e2e/test_bad_input.py", place, "wrong_input" if counts.is_small else "")


def replayed(place: Path, counts: Counts) -> Figures:
    """Answers of every cloud, replayed with what they say that was used: the ledger's cost is the one worked out by hand."""
    return _tests("tests/e2e/test_replayed_usage.py", place, "by_hand and openai" if counts.is_small else "")


def _tests(file: str, place: Path, chosen: str) -> Figures:
    """Run these tests, as strict about time as the promise is; how many passed."""
    command = [sys.executable, "-m", "pytest", "-q", file, "-k", chosen, f"--basetemp={place}"]
    strictly = os.environ | {"PROVE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=strictly, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout[-2000:]
    return {"passed": float(passed[1])}
