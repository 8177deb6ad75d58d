"""Copies between two storages, each digested on its way."""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

from core.backup.manifest import BackupError, Part, blocks
from core.storages import Storage

#: Files that are copied at once: object stores answer late and many at a time.
_AT_ONCE = 8
#: Bytes up to which a file goes through memory.
_IN_MEMORY = 1024 * 1024
_CHUNK = 256
T = TypeVar("T")


def copied(source: Storage, key: str, size: int, target: Storage, to: str, scratch: Path) -> Part | None:
    """Copy one file, and say what was copied; None where it was deleted meanwhile. `size` as it was listed."""
    digest = hashlib.sha256()
    if size <= _IN_MEMORY:
        try:
            content = source.read(key)
        except FileNotFoundError:
            return None
        target.write(to, content)
        digest.update(content)
        return Part(to, len(content), digest.hexdigest())
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        copy, number = Path(directory, "copy"), 0
        try:
            with copy.open("xb") as file:  # of its own: what the source gives may be replaced at any moment
                for block in blocks(source.fetch(key, Path(directory))):
                    digest.update(block)
                    number += file.write(block)
        except FileNotFoundError:
            return None
        target.write(to, copy)
    return Part(to, number, digest.hexdigest())


def all_copied(source: Storage, files: Iterable[tuple[str, int]], target: Storage, below: str, scratch: Path) -> Iterator[Part]:
    """Copy files (key, size) below a prefix of the target, some at a time; those that are deleted meanwhile are left out."""

    def one(file: tuple[str, int]) -> Part | None:
        return copied(source, *file, target, below + file[0], scratch)

    with ThreadPoolExecutor(_AT_ONCE, "backup") as pool:
        for some in _batched(files, _CHUNK):
            yield from filter(None, pool.map(one, some))


def check_parts(place: Storage, parts: Iterable[Part], scratch: Path) -> None:
    """That every part is what was written.

    Raises:
        BackupError: one is missing or damaged; the message names it.
    """
    _for_each(parts, lambda part: _check(place, part, scratch))


def put_back(place: Storage, part: Part, target: Storage, to: str, scratch: Path) -> None:
    """Copy a part to where it belongs. Raises BackupError: it is not what was written."""
    found = copied(place, part.key, part.size, target, to, scratch)
    if found is None or (found.size, found.sha256) != (part.size, part.sha256):
        raise BackupError(f"{part.key} is missing or damaged.")


def all_put_back(place: Storage, parts: Iterable[Part], target: Storage, below: str, scratch: Path) -> None:
    """The same for many, each without the prefix `below` of its key."""
    _for_each(parts, lambda part: put_back(place, part, target, part.key.removeprefix(below), scratch))


def _for_each(parts: Iterable[Part], work: Callable[[Part], None]) -> None:
    """Some at a time; the first failure ends it."""
    with ThreadPoolExecutor(_AT_ONCE, "backup") as pool:
        for some in _batched(parts, _CHUNK):
            for _ in pool.map(work, some):
                pass


def _check(place: Storage, part: Part, scratch: Path) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with tempfile.TemporaryDirectory(dir=scratch) as directory:
            for block in blocks(place.fetch(part.key, Path(directory))):
                digest.update(block)
                size += len(block)
    except FileNotFoundError:
        raise BackupError(f"{part.key} is missing.") from None
    if (size, digest.hexdigest()) != (part.size, part.sha256):
        raise BackupError(f"{part.key} is damaged.")


def _batched(all_of_them: Iterable[T], size: int) -> Iterator[list[T]]:
    """So many at a time."""
    rest = iter(all_of_them)
    while some := list(islice(rest, size)):
        yield some
