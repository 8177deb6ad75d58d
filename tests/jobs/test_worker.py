"""`python -m jobs.worker`, the worker in a process of its own."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from core.per_loop import PerLoop
from jobs.base import JobSpec
from tests.desks import Desk

ROOT = Path(__file__).parents[2]


def test_a_worker_beside_the_server_is_refused_where_the_store_cannot_be_shared(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "jobs.worker"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "GENAI_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "store_not_shareable" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "jobs.worker"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "GENAI_DATA_DIR": str(tmp_path), "GENAI_RETRIEVAL__STORE": "drawer"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "drawer" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_worker_goes_on_after_a_job_that_exits(desk: Desk) -> None:
    async def leave(*_: object) -> None:
        sys.exit(3)

    with desk.worker() as worker:
        worker._run(JobSpec("papers", leave), (), None)
        assert worker._on_loop(asyncio.sleep(0, "answer")).result(10) == "answer"
        assert worker.works


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_is_shielded_ends_with_the_worker_also_where_nobody_waits_for_it(desk: Desk) -> None:
    left: list[asyncio.Task[None]] = []

    async def shielding() -> None:
        left.append(asyncio.create_task(asyncio.sleep(600)))

    with desk.worker() as worker:
        worker._on_loop(shielding()).result(10)
    assert left[0].cancelled(), "else it is destroyed while it is pending, and asyncio says so as an error"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_was_opened_on_the_workers_loop_is_closed_before_it_stops(desk: Desk) -> None:
    closed: list[str] = []

    async def close(session: str) -> None:
        closed.append(session)

    async def opened() -> str:
        return sessions.get(None, lambda: "session")

    sessions = PerLoop(close)
    with desk.worker() as worker:
        assert worker._on_loop(opened()).result(10) == "session"
    assert closed == ["session"]
