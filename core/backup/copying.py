"""Copies between two storages, each digested on its way."""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

from core.backup.manifest import BackupError, Part, blocks
from core.files import Storage

#: Files that are copied at once: object stores answer late and many at a time.
_AT_ONCE = 8
#: Bytes up to which a file goes through memory.
_IN_MEMORY = 1024 * 1024
_CHUNK = 256


def copied(source: Storage, key: str, size: int, target: Storage, to: str, scratch: Path) -> Part | None:
    """Copy one file, and say what was copied; None where it was deleted meanwhile. `size` as it was listed."""
    try:
        if size <= _IN_MEMORY:
            content = source.read(key)
            target.write(to, content)
            return Part(to, len(content), hashlib.sha256(content).hexdigest())
        own = scratch / uuid4().hex
        own.mkdir()
        copy, digest, number = own / "copy", hashlib.sha256(), 0
        with copy.open("xb") as file:  # a copy of its own: what the source gives may be replaced at any moment
            for block in blocks(source.fetch(key, own)):
                digest.update(block)
                number += file.write(block)
        target.write(to, copy)
        for left in own.iterdir():
            left.unlink()
        return Part(to, number, digest.hexdigest())
    except FileNotFoundError:
        return None


def all_copied(source: Storage, files: Iterable[tuple[str, int]], target: Storage, below: str, scratch: Path) -> Iterator[Part]:
    """Copy files (key, size) below a prefix of the target, some at a time; those that are deleted meanwhile are left out."""
    waiting: list[tuple[str, int]] = []

    def one(file: tuple[str, int]) -> Part | None:
        return copied(source, *file, target, below + file[0], scratch)

    with ThreadPoolExecutor(_AT_ONCE, "backup") as pool:
        for file in files:
            waiting.append(file)
            if len(waiting) == _CHUNK:
                yield from filter(None, pool.map(one, waiting))
                waiting = []
        yield from filter(None, pool.map(one, waiting))


def check_parts(place: Storage, parts: Iterable[Part], scratch: Path) -> None:
    """That every part is what was written.

    Raises:
        BackupError: one is missing or damaged; the message names it.
    """
    with ThreadPoolExecutor(_AT_ONCE, "backup") as pool:
        for wrong in pool.map(lambda part: _wrong(place, part, scratch), parts):
            if wrong:
                raise BackupError(wrong)


def put_back(place: Storage, part: Part, target: Storage, to: str, scratch: Path) -> None:
    """Copy a part to where it belongs. Raises BackupError: it is not what was written."""
    found = copied(place, part.key, part.size, target, to, scratch)
    if found is None or (found.size, found.sha256) != (part.size, part.sha256):
        raise BackupError(f"{part.key} is missing or damaged.")


def _wrong(place: Storage, part: Part, scratch: Path) -> str:
    own = scratch / uuid4().hex
    own.mkdir()
    digest, size = hashlib.sha256(), 0
    try:
        for block in blocks(place.fetch(part.key, own)):
            digest.update(block)
            size += len(block)
    except FileNotFoundError:
        return f"{part.key} is missing."
    finally:
        for left in own.iterdir():
            left.unlink()
        own.rmdir()
    return "" if (size, digest.hexdigest()) == (part.size, part.sha256) else f"{part.key} is damaged."
