"""Child processes for what may crash, hang or eat memory: they die with their parent, and with their whole process group.

`run_in_child` does one piece of work (parsing a caller's file) in a warm child that is replaced once it was killed.
`ServingChild` keeps one child that serves (the local chat model) until it is closed.

A child learns of its parent's death in two ways: Linux sends it SIGKILL (`PR_SET_PDEATHSIG`), and everywhere the socket
between the two is closed. It gets an environment without credentials, and what it answers is unpickled with plain values
and dataclasses alone, so that a child that a hostile file took over gains nothing in the parent.
"""

import asyncio
import dataclasses
import enum
import io
import json
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import Any, Literal, get_args

from core.child_limits import Limit
from core.child_main import HEADER, IDLE_S, RETIRED
from core.child_spawner import spawn

#: Files of a caller who waits, code of one, files that nobody waits for, and databases that may not be opened here.
Lane = Literal["files", "code", "bulk", "database"]

#: Seconds after which it is looked whether a child has left that nobody had work for.
_SWEEP_S = IDLE_S + 5
MAX_ANSWER_BYTES = 256 * 2**20

_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[2]); from core.child_main import main; main(int(sys.argv[1]))"
_PLAIN_CLASSES = {("builtins", name) for name in ("set", "frozenset", "bytearray", "complex", "range", "slice")} | {
    ("decimal", "Decimal"),
    ("datetime", "datetime"),
    ("datetime", "date"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
}


class ChildError(Exception):
    """The work in the child gave no result."""


class ChildTimedOut(ChildError):
    """It took longer than allowed; the child and its group were killed."""


class ChildKilled(ChildError):
    """The child died. `reason` is `memory` (its limit, or the system's) or `crash`."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(f"the child process ended: {reason} (status {status})")
        self.reason = reason
        self.status = status


class ChildFailed(ChildError):
    """An exception inside. `code` is a PlatformError's code, whose `message` is safe to show; None for any other exception."""

    def __init__(self, error_type: str, message: str, code: str | None = None) -> None:
        super().__init__(f"{error_type}: {message}")
        self.error_type = error_type
        self.message = message
        self.code = code


async def run_in_child(
    function: str, *args: Any, timeout_s: float, memory_bytes: int | None = None, lane: Lane = "files"
) -> Any:
    """Call `function` ("module:callable") with picklable arguments in a child and give its result (plain values, dataclasses).

    `timeout_s` counts from when a child takes the work, not while it waits for one, and what others keep it from the processor
    is added (`core.child_limits`). `memory_bytes` bounds the growth of the child's address space during the call, modules that
    it imports first included; None sets no bound. Not enforced on macOS.
    Each lane has children of its own, so that short work for a caller who waits is not queued behind long files. Cancelling
    kills the child.

    Raises:
        ChildTimedOut, ChildKilled, ChildFailed
    """
    call = _Call(function, args, timeout_s, memory_bytes)
    future = _workers(lane).submit(call)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        call.cancel()
        raise


def run_in_child_blocking(
    function: str, *args: Any, timeout_s: float, memory_bytes: int | None = None, lane: Lane = "files"
) -> Any:
    """`run_in_child` for a thread that may wait."""
    call = _Call(function, args, timeout_s, memory_bytes)
    try:
        return _workers(lane).submit(call).result()
    except BaseException:
        call.cancel()
        raise


def close_children() -> None:
    """Kill the warm children and whatever they work on. The next `run_in_child` starts new ones."""
    for lane in get_args(Lane):
        _workers(lane).close()


class ServingChild:
    """A child that runs a generator: its first value is the answer of `start`, then it stays until it is killed.

    `on_exit` is called once, from a thread, with the exit status when the child ends without having been closed.
    """

    def __init__(self, function: str, *args: Any, on_exit: Callable[[int], None] | None = None) -> None:
        self._function = function
        self._args = args
        self._on_exit = on_exit
        self._child: _Child | None = None
        self._closing = False

    def start(self, timeout_s: float) -> Any:
        """Start and wait until it serves. Blocking.

        Raises:
            ChildTimedOut, ChildKilled, ChildFailed
        """
        self._child = child = _Child()
        try:
            child.send(("serve", self._function, self._args, None), timeout_s)
            answer = child.receive(timeout_s)
        except BaseException:
            child.kill()
            raise
        threading.Thread(target=self._watch, args=(child,), name="child-watch", daemon=True).start()
        return answer

    def _watch(self, child: "_Child") -> None:
        status = child.process.wait()
        if not self._closing and self._on_exit:
            self._on_exit(status)

    @property
    def pid(self) -> int | None:
        return self._child.process.pid if self._child else None

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.connected and self._child.process.poll() is None

    def close(self) -> None:
        """Kill it and its group. May be repeated."""
        self._closing = True
        if self._child is not None:
            self._child.kill()


class _Child:
    """One process, leader of its own group, and the socket to it. Messages are a length and a pickle."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._socket = ours
        with theirs:
            self.process = spawn([sys.executable, "-c", _BOOT, str(theirs.fileno()), json.dumps(sys.path)], theirs.fileno())

    def send(self, message: Any, timeout_s: float) -> None:
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._socket.settimeout(max(timeout_s, 0.001))
        try:
            self._socket.sendall(HEADER.pack(len(data)))
            self._socket.sendall(data)
        except TimeoutError:
            raise ChildTimedOut("the child did not take its work in time") from None
        except OSError:
            raise self._ended() from None

    def receive(self, timeout_s: float) -> Any:
        """The result that the child sends; an error that it sends is raised."""
        limit = Limit(self.process.pid, timeout_s)
        (length,) = HEADER.unpack(self._read(HEADER.size, limit))
        if length > MAX_ANSWER_BYTES:
            raise ChildKilled("memory")
        data = self._read(length, limit)
        try:
            kind, value = _PlainUnpickler(io.BytesIO(data)).load()
        except (pickle.UnpicklingError, AttributeError, EOFError, ImportError, IndexError, TypeError, ValueError) as error:
            raise ChildFailed("UnpicklingError", str(error)) from None
        if kind == "memory":
            raise ChildKilled("memory")
        if kind == "failed":
            raise ChildFailed(*value)
        return value

    def _read(self, size: int, limit: Limit) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._socket.settimeout(max(limit.left_s(), 0.001))
            try:
                piece = self._socket.recv(min(size - len(data), 1 << 20))
            except TimeoutError:
                if limit.left_s() > 0:
                    continue
                raise ChildTimedOut(f"the child did not answer within {limit.timeout_s:g} s") from None
            except OSError:
                piece = b""
            if not piece:
                raise self._ended()
            data += piece
        return bytes(data)

    def _ended(self) -> ChildKilled:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
        status = self.process.poll()
        self._signal_group()
        self.kill()
        return ChildKilled("memory" if status == -signal.SIGKILL else "crash", status)

    @property
    def connected(self) -> bool:
        """False as soon as the child ends, which is a moment before it can be reaped."""
        if self._socket.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(self._socket, 0)
        return not poll.poll(0)

    def _signal_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def interrupt(self) -> None:
        """Kill the whole group; whoever waits for the answer is told. May come from any thread."""
        if self.process.returncode is None:  # not reaped yet: the number is still its own
            self._signal_group()

    def kill(self) -> None:
        """Kill the whole group and reap it. May be repeated."""
        self.interrupt()
        self._socket.close()
        self.process.wait()


class _Call:
    """One piece of work; `cancel` may come from another thread at any moment."""

    def __init__(self, function: str, args: tuple[Any, ...], timeout_s: float, memory_bytes: int | None) -> None:
        self._message = ("call", function, args, memory_bytes)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._cancelled = False

    def __call__(self, take: Callable[[], _Child], give_back: Callable[[_Child], None]) -> Any:
        for retried in (False, False, True):
            child = take()
            with self._lock:
                self._child = None if self._cancelled else child
            if self._child is None:
                give_back(child)
                raise ChildKilled("cancelled")
            try:
                result = self._work(child)
            except ChildFailed:
                self._release()
                give_back(child)
                raise
            except ChildKilled as error:
                self._release()
                child.kill()
                if error.status != RETIRED or retried:
                    raise
                continue
            except BaseException:
                self._release()
                child.kill()
                raise
            self._release()
            give_back(child)
            return result
        raise AssertionError("unreachable")

    def _work(self, child: _Child) -> Any:
        deadline = time.monotonic() + self._timeout_s
        child.send(self._message, self._timeout_s)
        return child.receive(deadline - time.monotonic())

    def _release(self) -> None:
        with self._lock:
            self._child = None

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            if self._child is not None:
                self._child.interrupt()


class _Workers:
    """Warm children of one lane, as many as cores and never more than four, and `more` beside. A child leaves by itself when
    it has been idle."""

    def __init__(self, more: int = 0) -> None:
        self._threads = ThreadPoolExecutor(min(4, max(2, os.cpu_count() or 1)) + more, thread_name_prefix="child")
        self._lock = threading.Lock()
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._sweeper: threading.Timer | None = None

    def submit(self, call: _Call) -> Future[Any]:
        return self._threads.submit(call, self._take, self._give_back)

    def _take(self) -> _Child:
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.process.poll() is None:
                    self._busy.add(child)
                    return child
                child.kill()
        child = _Child()
        with self._lock:
            self._busy = {busy for busy in self._busy if busy.process.returncode is None} | {child}
        return child

    def _give_back(self, child: _Child) -> None:
        with self._lock:
            if child in self._busy:
                self._busy.discard(child)
                self._idle.append(child)
                self._sweep_later()
                return
        child.kill()

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            self._sweeper = threading.Timer(_SWEEP_S, self._sweep)
            self._sweeper.daemon = True
            self._sweeper.start()

    def _sweep(self) -> None:
        """Reap the children that have left by themselves."""
        with self._lock:
            self._sweeper = None
            ended = [child for child in self._idle if child.process.poll() is not None]
            self._idle = [child for child in self._idle if child not in ended]
            if self._idle:
                self._sweep_later()
        for child in ended:
            child.kill()

    def close(self) -> None:
        with self._lock:
            children = [*self._idle, *self._busy]
            self._idle, self._busy = [], set()
            if self._sweeper is not None:
                self._sweeper.cancel()
                self._sweeper = None
        for child in children:
            child.kill()


class _PlainUnpickler(pickle.Unpickler):
    """Loads plain values, and dataclasses and enumerations of modules that are at hand."""

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name) if (module, name) in _PLAIN_CLASSES or module in sys.modules else None
        if (module, name) in _PLAIN_CLASSES:
            return found
        if isinstance(found, type) and (dataclasses.is_dataclass(found) or issubclass(found, enum.Enum)):
            return found
        raise pickle.UnpicklingError(f"a child may not send {module}.{name}")


@cache
def _workers(lane: Lane) -> _Workers:
    return _Workers(1 if lane == "bulk" else 0)  # one for whom the others' long files would keep waiting
