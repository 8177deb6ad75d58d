"""Where what is sealed lies opened for a moment: private directories below one of the platform's own in the data directory, so
that what a killed process left there is found and removed.

Each process holds a lock beside its directory for as long as it lives; the system takes the lock from it however it ends. So
several processes may share the place, and none removes what another works on.
"""

import asyncio
import fcntl
import os
import secrets
import shutil
import tempfile
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from threading import Lock

import structlog

log = structlog.get_logger()

_LOCK = ".lock"


class Scratch:
    """Shared by all threads and event loops of a process. Its own directory is made at first use and goes with it."""

    def __init__(self, root: Path) -> None:
        """Remove what processes that are gone have left below `root`. Blocking."""
        self._root = root
        self._own: _Own | None = None
        self._lock = Lock()
        self.sweep()

    @contextmanager
    def directory(self, what: str) -> Iterator[Path]:
        """An empty directory that nobody but this user can read, for the block. Blocking.

        Raises:
            OSError: it cannot be made.
        """
        place = self._made(what)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    @asynccontextmanager
    async def adirectory(self, what: str) -> AsyncIterator[Path]:
        """As `directory`, beside the event loop."""
        place = await asyncio.to_thread(self._made, what)
        try:
            yield place
        finally:
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)

    def sweep(self) -> int:
        """Remove the directories of processes that are gone, and say how many. Blocking; may be repeated, and run at once by
        many."""
        try:
            found = {path.name.removesuffix(_LOCK) for path in self._root.iterdir()}
        except FileNotFoundError:
            return 0
        except OSError as error:
            log.warning("scratch.not_swept", directory=str(self._root), error=type(error).__name__, number=error.errno)
            return 0
        return sum(_swept(self._root / name) for name in found)

    def _made(self, what: str) -> Path:
        with self._lock:
            if self._own is None or not self._own.is_there():
                self._own = _Own(self._root)
                weakref.finalize(self, self._own.leave)
        return Path(tempfile.mkdtemp(prefix=f"{what}-", dir=self._own.path))


class _Own:
    """A process's directory and its lock, which is there and held before the directory is."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._process = os.getpid()
        while (taken := _taken(root / secrets.token_hex(8))) is None:
            pass
        self.path, self._descriptor = taken
        self.path.mkdir(mode=0o700)

    def is_there(self) -> bool:
        """Whether it is this process's, not that of one it was forked from, and nobody has removed it."""
        return self._process == os.getpid() and self.path.is_dir()

    def leave(self) -> None:
        if self._process == os.getpid():
            shutil.rmtree(self.path, ignore_errors=True)
            _lock_of(self.path).unlink(missing_ok=True)
            os.close(self._descriptor)


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + _LOCK)


def _taken(path: Path) -> tuple[Path, int] | None:
    """The path with the descriptor of its lock; None where a sweep came between making the lock and holding it."""
    lock = _lock_of(path)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), lock.stat()):
            return path, descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _swept(path: Path) -> bool:
    """Remove the directory, unless the process that has it is alive; whether it was removed. A lock of which that cannot be
    told, as on a file system that has none, is taken for a living process's: neither a start nor an erasure ends by it."""
    try:
        return _removed(path)
    except BlockingIOError:
        return False
    except OSError as error:
        log.warning("scratch.not_swept", directory=str(path), error=type(error).__name__, number=error.errno)
        return False


def _removed(path: Path) -> bool:
    lock = _lock_of(path)
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:  # of a removal that was cut short; a live process's lock is there
        shutil.rmtree(path, ignore_errors=True)
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
        lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    return True
