"""Children are real processes here; the functions they run come from the standard library."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.child import (
    ChildFailed,
    ChildKilled,
    ChildTimedOut,
    ServingChild,
    close_children,
    run_in_child,
    run_in_child_blocking,
)

MEBIBYTE = 2**20


@pytest.fixture(autouse=True)
def no_child_left() -> Iterator[None]:
    yield
    close_children()


async def test_gives_the_result_of_the_function() -> None:
    assert await run_in_child("math:hypot", 3.0, 4.0, timeout_s=20) == 5.0


def test_blocks_for_a_thread_that_may_wait() -> None:
    assert run_in_child_blocking("operator:mul", b"ab", 3 * MEBIBYTE, timeout_s=20) == b"ab" * (3 * MEBIBYTE)


async def test_uses_a_warm_child_again_also_after_an_exception() -> None:
    first = await run_in_child("os:getpid", timeout_s=20)
    with pytest.raises(ChildFailed):
        await run_in_child("math:sqrt", "no number", timeout_s=20)
    assert await run_in_child("os:getpid", timeout_s=20) == first


async def test_kills_what_takes_too_long_and_takes_a_new_child() -> None:
    first = await run_in_child("os:getpid", timeout_s=20)
    with pytest.raises(ChildTimedOut):
        await run_in_child("time:sleep", 60, timeout_s=0.1)
    assert not psutil.pid_exists(first)
    assert await run_in_child("os:getpid", timeout_s=20) != first


async def test_kills_what_the_function_started_too() -> None:
    task = asyncio.create_task(run_in_child("subprocess:run", ["sleep", "4242"], timeout_s=30))
    grandchild = await _process_with("4242")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _until(lambda: _is_gone(grandchild))


async def test_a_crash_is_told_as_one() -> None:
    with pytest.raises(ChildKilled) as crashed:
        await run_in_child("os:abort", timeout_s=20)
    assert (crashed.value.reason, crashed.value.status) == ("crash", -signal.SIGABRT)


@pytest.mark.skipif(sys.platform != "linux", reason="no address space limit elsewhere")
async def test_memory_beyond_the_limit_is_told_as_memory() -> None:
    with pytest.raises(ChildKilled) as killed:
        await run_in_child("builtins:bytearray", 600 * MEBIBYTE, timeout_s=20, memory_bytes=64 * MEBIBYTE)
    assert killed.value.reason == "memory"


async def test_an_exception_crosses_with_its_type_and_message() -> None:
    with pytest.raises(ChildFailed) as failed:
        await run_in_child("json:loads", "{", timeout_s=20)
    assert failed.value.error_type == "JSONDecodeError"
    assert failed.value.code is None


async def test_an_error_of_the_platform_crosses_with_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _module(tmp_path, monkeypatch, "def refuse():\n raise UnreadableFile('It is encrypted.', code='encrypted_file')")
    with pytest.raises(ChildFailed) as failed:
        await run_in_child("in_child:refuse", timeout_s=20)
    assert (failed.value.code, failed.value.message) == ("encrypted_file", "It is encrypted.")


async def test_refuses_an_answer_that_would_run_code_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "ran"
    evil = f"class Evil:\n def __reduce__(self):\n  return (__import__('os').mkdir, ({str(marker)!r},))"
    _module(tmp_path, monkeypatch, f"{evil}\ndef answer():\n return Evil()")
    with pytest.raises(ChildFailed, match="may not send"):
        await run_in_child("in_child:answer", timeout_s=20)
    assert not marker.exists()


async def test_a_child_sees_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert await run_in_child("os:getenv", "OPENAI_API_KEY", timeout_s=20) is None


async def test_many_at_once_share_few_children() -> None:
    pids = await asyncio.gather(*(run_in_child("os:getpid", timeout_s=20) for _ in range(20)))
    assert len(set(pids)) <= 4


def test_a_serving_child_stays_until_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _module(tmp_path, monkeypatch, "import os\ndef serve(greeting):\n yield {'greeting': greeting, 'pid': os.getpid()}")
    child = ServingChild("in_child:serve", "hello")
    answer = child.start(timeout_s=20)
    assert answer == {"greeting": "hello", "pid": child.pid}
    assert child.alive
    child.close()
    assert not child.alive


def test_a_serving_child_that_dies_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _module(tmp_path, monkeypatch, "import os\ndef serve():\n yield os.getpid()")
    exits: list[int] = []
    child = ServingChild("in_child:serve", on_exit=exits.append)
    os.kill(child.start(timeout_s=20), signal.SIGKILL)
    _wait(lambda: exits == [-signal.SIGKILL])
    child.close()


def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import core.child as c, sys; print(c.run_in_child_blocking('os:getpid', timeout_s=20), flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdin
    assert parent.stdout
    with parent.stdin, parent.stdout:
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        _wait(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def _module(directory: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """A module `in_child` that children can import."""
    directory.joinpath("in_child.py").write_text("from core.errors import UnreadableFile\n" + source)
    monkeypatch.syspath_prepend(str(directory))


async def _process_with(argument: str) -> psutil.Process:
    found: list[psutil.Process] = []

    def look() -> bool:
        found.extend(p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", argument])
        return bool(found)

    await _until(look)
    return found[0]


def _is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def _until(condition: Any, timeout_s: float = 20) -> None:
    await asyncio.to_thread(_wait, condition, timeout_s)


def _wait(condition: Any, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


async def test_a_child_that_left_by_itself_is_reaped_though_nobody_needs_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.child._SWEEP_S", 0.05)
    pid = await run_in_child("os:getpid", timeout_s=30)
    os.kill(pid, signal.SIGTERM)
    async with asyncio.timeout(20):
        while psutil.pid_exists(pid):  # noqa: ASYNC110 - a timer's doing
            await asyncio.sleep(0.01)
