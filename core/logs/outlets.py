"""Standard output and standard error as places that lines go to, without waiting for who reads them."""

import os
import select
import socket
import stat
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

#: Bytes that wait for a reader who is slow; lines beyond it are lost, and counted.
MOST_WAITING = 4 * 2**20
#: POSIX's PIPE_BUF on Linux (pipe(7)): so much a pipe takes whole or not at all, and has room for when `poll` says so.
_AT_ONCE = 4096
#: Seconds without progress after which the reader counts as away.
STUCK_S = 1.0

#: Called at a change: the event's name and its fields. Not called while the outlet's lock is held.
Change = Callable[[str, dict[str, Any]], None]


class Outlet:
    """Takes lines. They are written at once where there is room, and by a thread later where there is none, in order.

    `changed` is told once when the place takes nothing any more (`log.blocked`, `log.broken`) and once when it does again
    (`log.resumed`, with the number of `lost` lines).
    """

    def __init__(self, name: str, stream: TextIO, changed: Change, *, most_waiting: int = MOST_WAITING) -> None:
        self.name = name
        self.is_terminal = stream.isatty()
        self._changed = changed
        self._most_waiting = most_waiting
        self._write = _writer(stream)
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = self._lost = 0
        self._told: str | None = None
        self._closing = False
        self._lock = threading.Lock()
        self._more = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None

    def write(self, line: str) -> None:
        """Write a line, or have it written. Raises nothing."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        told = None
        with self._lock:
            if self._waiting:
                self._keep(data)
            else:
                try:
                    rest = data[self._write(data) :]
                except OSError as error:
                    self._lost += 1
                    if self._told is None:
                        self._told, told = "log.broken", {"error": error.strerror}
                else:
                    if rest:
                        self._keep(rest)
                    elif self._told is not None:
                        told = self._resumed()
        self._tell(told)

    def close(self, timeout_s: float = 1.0) -> None:
        """Give what waits so long to leave. Lines are taken all the same afterwards."""
        with self._more:
            self._more.wait_for(lambda: not self._waiting, timeout_s)
            self._closing = True
            self._more.notify_all()

    def _keep(self, data: bytes) -> None:
        if self._waiting_bytes + len(data) > self._most_waiting:
            self._lost += 1
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._thread is None or not self._thread.is_alive():
            self._closing = False
            self._thread = threading.Thread(target=self._run, name=f"log-{self.name}", daemon=True)
            self._thread.start()
        self._more.notify_all()

    def _run(self) -> None:
        """Write what waits, as the reader takes it."""
        idle_s = 0.0
        while True:
            with self._more:
                self._more.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                moved, told = self._move()
            self._tell(told)
            idle_s = 0.0 if moved else idle_s + _PAUSE_S
            if not moved:
                if idle_s >= STUCK_S and self._told is None:
                    self._told = "log.blocked"
                    self._tell({"waiting": len(self._waiting)})
                _pause.wait(_PAUSE_S)

    def _move(self) -> tuple[bool, dict[str, Any] | None]:
        """Write the first of what waits: whether anything went, and what is to be told."""
        data, told = self._waiting[0], None
        try:
            written = self._write(data)
        except OSError as error:
            written = len(data)
            self._lost += 1
            if self._told is None:
                self._told, told = "log.broken", {"error": error.strerror}
        self._waiting_bytes -= written
        if written < len(data):
            self._waiting[0] = data[written:]
            return written > 0, told
        self._waiting.popleft()
        if not self._waiting:
            if told is None and (self._told or self._lost):
                told = self._resumed()
            self._more.notify_all()
        return True, told

    def _resumed(self) -> dict[str, Any]:
        lost, self._lost, self._told = self._lost, 0, None
        return {"lost": lost}

    def _tell(self, fields: dict[str, Any] | None) -> None:
        if fields is not None:
            self._changed(self._told or "log.resumed", {"to": self.name, **fields})


_PAUSE_S = 0.05
#: Never set: a pause that needs no `time.sleep`.
_pause = threading.Event()


def _writer(stream: TextIO) -> Callable[[bytes], int]:
    """What writes as much as there is room for, and says how much that was."""
    try:
        descriptor = stream.fileno()
        kind = os.fstat(descriptor).st_mode
    except (OSError, ValueError, AttributeError):  # no file: a test's, a notebook's
        return _into_object(stream)
    with suppress(OSError, ValueError):
        stream.flush()
    if stat.S_ISREG(kind):
        return lambda data: os.write(descriptor, data)
    if stat.S_ISSOCK(kind):
        connection = socket.fromfd(descriptor, socket.AF_UNIX, socket.SOCK_STREAM)
        return lambda data: _unless_full(lambda: connection.send(data, socket.MSG_DONTWAIT))
    try:
        # opened anew, so that not to wait is a matter of this process: others have the same pipe or terminal
        own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        ready = select.poll()
        ready.register(descriptor, select.POLLOUT)
        return lambda data: os.write(descriptor, data[:_AT_ONCE]) if ready.poll(0) else 0
    return lambda data: _unless_full(lambda: os.write(own, data))


def _unless_full(write: Callable[[], int]) -> int:
    try:
        return write()
    except BlockingIOError:
        return 0


def _into_object(stream: TextIO) -> Callable[[bytes], int]:
    def write(data: bytes) -> int:
        try:
            stream.write(data.decode())
            stream.flush()
        except ValueError as error:  # it is closed
            raise OSError(0, "closed") from error
        return len(data)

    return write
