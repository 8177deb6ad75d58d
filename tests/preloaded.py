"""Servers that are forked from a process with everything imported: most of a start's seconds of CPU are imports.

They are processes of their own, with their own environment, working directory, log and signals, and run the commands' `main` as
`python langserve_app.py` does. What a start itself promises is tested by real ones: `tests/server/test_boot.py`, the `platform`
that most end-to-end tests share, and whatever sets `Running.forked` to False.
"""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from infra.running import ROOT, end_with_parent

_FORKING = multiprocessing.get_context("forkserver") if sys.platform == "linux" else None
#: By what Python runs: the module whose `main` it is, and its arguments.
_COMMANDS = {("langserve_app.py",): "langserve_app", ("-m", "jobs.worker"): "jobs.worker"}
#: What brings in all that a server with its embedded parts has imported once it is ready.
_IMPORTED = (
    *("langserve_app", "uvicorn", "uvloop", "server.draining", "server.protocol", "server.lifespan", "server.app"),
    *("jobs.worker", "jobs.beside", "chromadb", "openai", "langchain_openai", "providers.openai_transport"),
)


class Forked:
    """What is used of `subprocess.Popen`, for a process that the fork server has made."""

    def __init__(self, program: tuple[str, ...], environment: Mapping[str, str], log: Path) -> None:
        assert _FORKING is not None
        self._process = _FORKING.Process(target=_run, args=(_COMMANDS[program], dict(environment), str(log)))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; of what a signal has ended, its number below zero.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("a forked server", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def fork(program: tuple[str, ...], root: Path, environment: Mapping[str, str], log: Path) -> Forked | None:
    """The program as a forked process that writes to `log`. None where none can be made, and for a program of another kind or
    tree, or one whose start Python is told something of, as by PYTHONPATH."""
    if _FORKING is None or root != ROOT or program not in _COMMANDS or _told(environment) != _told(os.environ):
        return None
    _FORKING.set_forkserver_preload(list(_IMPORTED))
    return Forked(program, environment, log)


def _told(environment: Mapping[str, str]) -> dict[str, str]:
    """What Python itself reads when it starts; what a forked process is written with is set in it."""
    return {name: value for name, value in environment.items() if name.startswith("PYTHON") and name != "PYTHONUNBUFFERED"}


def _run(module: str, environment: dict[str, str], log: str) -> None:
    """In the new process: become what Python would be that was started so, and end with its code."""
    os.setsid()
    end_with_parent()
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for standard in (1, 2):
        os.dup2(written, standard)
    os.close(written)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, write_through=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the fork server leaves it to who has started it
    sys.argv = [module]
    try:
        code = import_module(module).main([]) if module == "langserve_app" else import_module(module).main()
    finally:
        atexit._run_exitfuncs()  # a process that multiprocessing ends would leave them out
    sys.exit(code)
