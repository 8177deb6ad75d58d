"""A child process for code that nobody has looked at, such as what a model wrote: it gets a script and a value, and gives one.

It is a fresh interpreter with the standard library alone, which has locked itself up before the first line of the script (see
`core.locked_child_main`): no network, no files but those of the interpreter to read, none to write, no other process to start,
to signal or to look into, an environment without anything of ours, no home, and bounds for time and memory. Linux alone has
what that takes; elsewhere nothing is run.

What it does not protect against: a hole in the kernel, and what one process can tell of another by how long things take. Within
the child the script and what it runs share one interpreter, so that code which aims at the script can lie about itself.
"""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from core.locked_child_main import UNLOCKED
from core.per_loop import PerLoop
from core.settings import child_environment

_INTERPRETER: Final = os.path.realpath(sys.executable)
_MAIN: Final = str(Path(__file__).with_name("locked_child_main.py"))
#: What a child may answer.
MOST_BYTES: Final = 256 * 2**10
#: Seconds that an interpreter takes to start and to be locked, on a machine with other work.
_START_S: Final = 10.0

Ending = Literal["finished", "timeout", "crash", "too_much_output"]

_turns: PerLoop[asyncio.Semaphore] = PerLoop()


class LockUnavailable(Exception):
    """This system cannot lock a process up: it is no Linux, has no Landlock or no seccomp, or a container forbids them."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended. `value` is what the script gave, for `finished` alone; without memory a child ends by `crash`, unless
    the script has caught that."""

    how: Ending
    value: Any = None


async def run_locked(script: str, given: Any, *, timeout_s: float, memory_bytes: int) -> Ended:
    """Call `main(given)` of a script; both values have to be JSON's. `timeout_s` is of the wall's clock, once the child is
    locked; `memory_bytes` of address space. As many at once as there are cores. Cancelling kills the child.

    Raises:
        LockUnavailable: nothing was run.
    """
    if sys.platform != "linux":
        raise LockUnavailable(sys.platform)
    told = json.dumps({"script": script, "given": given, "memory_bytes": memory_bytes, "cpu_s": timeout_s})
    async with _turns.get("", lambda: asyncio.Semaphore(max(2, os.cpu_count() or 1))):
        process = await asyncio.create_subprocess_exec(
            _INTERPRETER,
            *("-I", "-S", "-X", "utf8", _MAIN),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: value for name, value in child_environment().items() if name == "LD_LIBRARY_PATH"},
            cwd="/",
            start_new_session=True,
            limit=MOST_BYTES,
        )
        try:
            return await _conversation(process, told.encode(), timeout_s)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await _read_to_its_end(cast("asyncio.StreamReader", process.stdout))
            await process.wait()


async def _conversation(process: asyncio.subprocess.Process, told: bytes, timeout_s: float) -> Ended:
    to_child, from_child = cast("asyncio.StreamWriter", process.stdin), cast("asyncio.StreamReader", process.stdout)
    try:
        async with asyncio.timeout(_START_S):
            with suppress(ConnectionResetError, BrokenPipeError):
                to_child.write(told)
                await to_child.drain()
            to_child.close()
            locked = await from_child.readline()
    except TimeoutError:
        return Ended("timeout")
    if locked.strip() != b"locked":
        raise LockUnavailable("the process could not be locked" if locked.strip() == UNLOCKED else "the child did not start")
    try:
        async with asyncio.timeout(timeout_s):
            if len(said := await _read(from_child)) > MOST_BYTES:
                return Ended("too_much_output")
            status = await process.wait()
    except TimeoutError:
        return Ended("timeout")
    if status == -signal.SIGXCPU:
        return Ended("timeout")
    try:
        return Ended("finished", json.loads(said)) if status == 0 else Ended("crash")
    except (ValueError, RecursionError):
        return Ended("crash")


async def _read_to_its_end(stream: asyncio.StreamReader) -> None:
    """Of a child that is dead: asyncio waits for its pipe, too."""
    while await stream.read(64 * 2**10):
        pass


async def _read(stream: asyncio.StreamReader) -> bytes:
    said = bytearray()
    while len(said) <= MOST_BYTES and (piece := await stream.read(64 * 2**10)):
        said += piece
    return bytes(said)
