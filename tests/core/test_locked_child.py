"""A locked child does what it is asked and nothing else. Where the system cannot lock one up, nothing is run."""

import asyncio
import contextlib
import os
import sys
import threading
from pathlib import Path

import pytest

from core import locked_child
from core.locked_child import LockUnavailable, run_locked

pytestmark = [pytest.mark.one_database, pytest.mark.skipif(sys.platform != "linux", reason="locks are Linux's")]

MEMORY = 256 * 2**20
#: Runs each text alone and says what it raised, so that one child tries many.
TRYING = """
def main(attempts):
    said = {}
    for name, text in attempts.items():
        try:
            exec(text, {})
            said[name] = "done"
        except BaseException as error:
            said[name] = type(error).__name__
    return said
"""


async def tried(attempts: dict[str, str], timeout_s: float = 20) -> dict[str, str]:
    ended = await run_locked(TRYING, attempts, timeout_s=timeout_s, memory_bytes=MEMORY)
    assert ended.how == "finished"
    return ended.value


async def test_it_reaches_no_network_no_file_no_process_and_none_of_ours(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    parent = os.getpid()
    refused = {
        "socket": "import socket; socket.socket()",
        "connect": "import socket; socket.create_connection(('127.0.0.1', 80))",
        "name": "import socket; socket.getaddrinfo('localhost', 80)[0]; socket.socket()",
        "datagram": "import socket; a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.sendto(b'x', '/dev/log')",
        "read": f"open({str(secret)!r}).read()",
        "users": "open('/etc/passwd').read()",
        "list": "import os; os.listdir('/')",
        "source": f"open({locked_child.__file__!r}).read()",
        "write": f"open({str(tmp_path / 'new')!r}, 'w')",
        "shared memory": "from multiprocessing import shared_memory; shared_memory.SharedMemory(create=True, size=10)",
        "environment": f"open('/proc/{parent}/environ').read()",
        "own environment": "open('/proc/self/environ').read()",
        "memory": f"open('/proc/{parent}/mem', 'rb').read(1)",
        "fork": "import os; os.fork()",
        "spawn": "import os; os.posix_spawn('/bin/true', ['true'], {})",
        "exec": "import os; os.execv('/bin/true', ['true'])",
        "kill": f"import os; os.kill({parent}, 0)",
        "signal a thread": "import signal; signal.pidfd_send_signal(0, 9)",
        "priority": f"import os; os.setpriority(0, {parent}, 19)",
        "limits": f"import resource; resource.prlimit({parent}, resource.RLIMIT_NOFILE, (1, 1))",
        "more memory": "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40))",
    }
    said = await tried(refused)
    assert {name for name, what in said.items() if what == "done"} == set()
    assert secret.read_text() == "s3cret"
    assert os.listdir(tmp_path) == ["secret"]


async def test_the_standard_library_works_and_the_environment_is_empty() -> None:
    allowed = {
        "modules": "import asyncio, ctypes, dataclasses, datetime, decimal, json, random, re, sqlite3, ssl, unittest, zoneinfo",
        "zones": "import zoneinfo; zoneinfo.available_timezones()",
        "threads": "import threading; t = threading.Thread(target=len, args=([],)); t.start(); t.join()",
        "loop": "import asyncio; asyncio.run(asyncio.to_thread(len, []))",
        "random": "import os, secrets; os.urandom(8); secrets.token_hex()",
        "environment": "import os; assert not set(os.environ) - {'LC_CTYPE', 'LD_LIBRARY_PATH'}, os.environ",
        "our packages": "import sys; assert not [path for path in sys.path if 'site-packages' in path]",
    }
    assert set((await tried(allowed)).values()) == {"done"}


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("while True: pass", "timeout"),
        ("import time; time.sleep(60)", "timeout"),
        ("import os; os._exit(0)", "crash"),
        ("import os; os.abort()", "crash"),
        ("import ctypes; ctypes.string_at(0)", "crash"),
        ("raise SystemExit", "crash"),
        ("x = bytearray(2**34)", "crash"),
        ("def main(given): return 'x' * 2**20", "too_much_output"),
        ("def main(given): return object()", "crash"),
    ],
)
async def test_however_it_ends_that_is_told(text: str, how: str) -> None:
    timeout_s = 0.3 if how == "timeout" else 20
    assert (await run_locked(text, None, timeout_s=timeout_s, memory_bytes=MEMORY)).how == how


async def test_cancelling_ends_the_child() -> None:
    asked = asyncio.create_task(run_locked("import time; time.sleep(600)", None, timeout_s=600, memory_bytes=MEMORY))
    children = Path(f"/proc/{os.getpid()}/task")
    started = await asyncio.to_thread(_started, children)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert not started & _children(children)


async def test_nothing_is_run_where_it_cannot_be_locked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(LockUnavailable):
        await run_locked(f"open({str(ran)!r}, 'w')", None, timeout_s=5, memory_bytes=MEMORY)
    assert not ran.exists()


def _started(tasks: Path) -> set[str]:
    while not (found := _children(tasks)):
        threading.Event().wait(0.01)
    return found


def _children(tasks: Path) -> set[str]:
    found: set[str] = set()
    for task in tasks.iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread, or the child, has just ended
            for pid in (task / "children").read_text().split():
                if b"locked_child_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.add(pid)
    return found
