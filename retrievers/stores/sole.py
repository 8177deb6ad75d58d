"""The lock of a store that one process alone may open."""

from pathlib import Path

from filelock import FileLock, Timeout

from core.errors import Conflict


def taken_alone(path: Path) -> FileLock:
    """The lock, held. It may be taken in one thread and released in another.

    Raises:
        Conflict: `store_not_shareable`: another process holds it.
    """
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Conflict(
            "The embedded vector store is open in another process: stop that one, or set a store that several may share.",
            code="store_not_shareable",
        ) from None
    return lock
