"""What runs inside a child process of `core.child`: it takes work from the socket to its parent and leaves with it."""

import ctypes
import os
import pickle
import resource
import select
import signal
import socket
import struct
import sys
import threading
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from core.errors import PlatformError

#: A child that ends by itself (idle, or grown large) leaves with this status; its work is given to a new one.
RETIRED = 75
HEADER = struct.Struct(">Q")
PR_SET_PDEATHSIG = 1  # linux/prctl.h
IDLE_S = 60.0
RETIRE_ABOVE_BYTES = 512 * 2**20


def main(descriptor: int) -> NoReturn:
    """Serve the parent at the other end of `descriptor` until it hangs up."""
    _die_with_parent(descriptor)
    with suppress(OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection = socket.socket(fileno=descriptor)
    status = RETIRED
    while _has_work(connection):
        kind, function, args, memory_bytes = pickle.loads(_read(connection))  # noqa: S301 - written by our own parent
        if kind == "serve":
            _serve(connection, function, args)
            status = 0
            break
        _answer(connection, function, args, memory_bytes)
        if _resident_bytes() > RETIRE_ABOVE_BYTES:
            break
    os._exit(status)


def _answer(connection: socket.socket, function: str, args: tuple[Any, ...], memory_bytes: int | None) -> None:
    """Do one piece of work and send what came of it."""
    _be_nice()
    try:
        if memory_bytes is not None:
            _limit_memory(memory_bytes)
        answer: tuple[str, Any] = ("result", _resolve(function)(*args))
    except BaseException as error:  # noqa: BLE001 - the boundary of the process: everything crosses as data
        if _is_for_memory(error):
            _limit_memory(None)
            _send(connection, ("memory", None))
            os._exit(1)
        answer = _failure(error)
    _limit_memory(None)
    try:
        _send(connection, answer)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        _send(connection, _failure(error))


def _is_for_memory(error: BaseException) -> bool:
    """Whether it failed for want of memory; a library that could not be loaded for that says so in words alone."""
    if isinstance(error, ImportError):
        return any(sign in str(error) for sign in ("failed to map segment", "cannot allocate memory"))
    return isinstance(error, MemoryError)


def _serve(connection: socket.socket, function: str, args: tuple[Any, ...]) -> None:
    """Run a generator up to its first value, send that, and stay until the parent hangs up."""
    generator = _resolve(function)(*args)
    try:
        _send(connection, ("result", next(generator)))
    except BaseException as error:  # noqa: BLE001 - the boundary of the process
        _send(connection, _failure(error))
        return
    threading.Event().wait()  # `_die_with_parent` ends the process


def _failure(error: BaseException) -> tuple[str, Any]:
    if isinstance(error, PlatformError):
        return "failed", (type(error).__name__, error.message, error.code)
    return "failed", (type(error).__name__, str(error)[:2000], None)


def _resolve(function: str) -> Any:
    module, _, name = function.partition(":")
    return getattr(import_module(module), name)


def _has_work(connection: socket.socket) -> bool:
    """Wait for the next piece of work; False when none came for a while."""
    return bool(select.select([connection], [], [], IDLE_S)[0])


def _read(connection: socket.socket) -> bytes:
    (length,) = HEADER.unpack(_read_exactly(connection, HEADER.size))
    return _read_exactly(connection, length)


def _read_exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    view, received = memoryview(data), 0
    while received < size:
        count = connection.recv_into(view[received:])
        if not count:
            os._exit(0)
        received += count
    return bytes(data)


def _send(connection: socket.socket, message: Any) -> None:
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    connection.sendall(HEADER.pack(len(data)))
    connection.sendall(data)


def _die_with_parent(descriptor: int) -> None:
    """End with the parent, also when it is killed: by the kernel's signal on Linux, by the closed socket everywhere."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def watch() -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLHUP)
        poll.poll()
        os.killpg(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _be_nice() -> None:
    """Let the server's own threads go first; only the first call lowers the priority."""
    if os.getpriority(os.PRIO_PROCESS, 0) < 5:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, 5)


def _limit_memory(growth_bytes: int | None) -> None:
    """Bound the address space to what is in use now plus `growth_bytes`; None lifts the bound. Linux alone honours it."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    soft = hard
    if growth_bytes is not None and (used := _statm_pages(0)) is not None:
        soft = used * resource.getpagesize() + growth_bytes
        if hard != resource.RLIM_INFINITY:
            soft = min(soft, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _resident_bytes() -> int:
    return (_statm_pages(1) or 0) * resource.getpagesize()


def _statm_pages(field: int) -> int | None:
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[field])
    except OSError:
        return None
