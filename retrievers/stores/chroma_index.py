"""Chroma's index of one collection on disk, kept free of what is no part of it.

Chroma's index makes room for vectors to come without clearing that memory, and writes it to its files with the rest: whatever
the process held there before, other tenants' text and secrets included, would be on disk in the clear (chromadb 1.5.9).
"""

import os
import struct
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

#: The beginning of `header.bin`: version, offset of level 0, vectors there is room for, vectors, bytes of one.
_HEADER = struct.Struct("<iQQQQ")
_VERSION = 1
#: One number of `length.bin`.
_LENGTH = struct.Struct("<I")
_ZEROS = bytes(1 << 20)


class Gate:
    """Lets many through together, or one alone, who goes before those that come later. Nobody passes it twice at a time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._within = 0
        self._alone = False

    @contextmanager
    def together(self, given: Any = None) -> Iterator[Any]:
        """For the block, which is given what is asked for."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._within += 1
        try:
            yield given
        finally:
            with self._changed:
                self._within -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For the block, once those within have left."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._alone = True
            self._changed.wait_for(lambda: not self._within)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


class OpenCollection:
    """A Chroma collection, with the files that its vectors are in. For several threads."""

    def __init__(self, collection: Any, directory: Path, gate: Gate) -> None:
        self.directory = directory
        self._gate = gate
        self._collection = collection
        self._index = IndexFiles(directory)
        self._lock = threading.Lock()
        self._caught_up = False

    @contextmanager
    def changing(self) -> Iterator[Any]:
        """The collection, for what may have Chroma write them; what is no vector is cleared out of them at the end."""
        with self._gate.together(), self._lock:
            self._caught_up = False
            try:
                yield self._collection
                self._caught_up = True
            finally:
                self._index.clear_room()

    def reading(self) -> AbstractContextManager[Any]:
        """The collection, for reading. Chroma brings its index up to what was written before a read, so the first one after
        opening, or after a write that failed, may be a write."""
        return self._gate.together(self._collection) if self._caught_up else self.changing()

    def clear_room(self) -> None:
        """Clear what is no vector out of its files, when nothing is written."""
        with self._lock:
            self._index.clear_room()


class IndexFiles:
    """The files of a collection's vectors, and of how many neighbours each has. Not for use while Chroma may write them."""

    def __init__(self, directory: Path) -> None:
        self._header, self._vectors, self._lengths = (
            directory / name for name in ("header.bin", "data_level0.bin", "length.bin")
        )
        self._cleared_ns = 0

    def clear_room(self) -> None:
        """Overwrite the room for vectors to come. Costs next to nothing when they are as they were left.

        Raises:
            RuntimeError: The file is of a form that this does not know.
        """
        try:
            if os.stat(self._vectors).st_mtime_ns == self._cleared_ns:
                return
            header = self._header.read_bytes()
        except FileNotFoundError:  # no vectors yet, or the collection is gone
            return
        version, start, room, count, size = _HEADER.unpack_from(header)
        if version != _VERSION or count > room:
            raise RuntimeError(f"Chroma's index has another form than the one that is known: {version}")
        _clear(self._vectors, start + count * size)
        _clear(self._lengths, count * _LENGTH.size)
        self._cleared_ns = os.stat(self._vectors).st_mtime_ns


def _clear(path: Path, beginning: int) -> None:
    """Overwrite what a file holds from there on; it keeps its length."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        place = file.seek(beginning)
        while place < end:
            place += file.write(_ZEROS[: end - place])
