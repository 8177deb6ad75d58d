"""Which server has a data directory: taken before anything is started, so that a second one is refused at once.

A store that several processes may share leaves the directory to all of them; the others lock their own files as well, for
whoever opens them without a server.
"""

import contextlib
import fcntl
import json
import os

from core.errors import Conflict
from core.settings import Settings, SettingsError
from retrievers import ONE_PROCESS


class Ownership:
    """The lock on the data directory, held until the process ends, and a note of who holds it."""

    def __init__(self, settings: Settings) -> None:
        """Take the directory.

        Raises:
            Conflict: `store_not_shareable`, another server has it; the message says which.
            SettingsError: it cannot be written to, or not be locked.
        """
        self._descriptor: int | None = None
        if ONE_PROCESS.isdisjoint(settings.retrieval.stores):
            return
        path = settings.path("server.lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise SettingsError(f"GENAI_DATA_DIR: {path} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _told(descriptor)
            os.close(descriptor)
            raise Conflict(
                f"Another server{holder} has the data directory {path.parent}, which belongs to one process. "
                "Stop that one, or set GENAI_DATA_DIR to another directory.",
                code="store_not_shareable",
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise SettingsError(f"GENAI_DATA_DIR: {path} cannot be locked: {error.strerror}") from error
        self._descriptor = descriptor

    def tell(self, address: str) -> None:
        """Note where this server is to be found."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps({"pid": os.getpid(), "address": address}).encode(), 0)

    def release(self) -> None:
        """Leave the directory to the next server. May be called again."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def _told(descriptor: int) -> str:
    """` (process 12, http://…)`; empty where the holder has not noted it yet."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        note = json.loads(os.pread(descriptor, 1000, 0))
        return f" (process {note['pid']}, {note['address']})"
    return ""
