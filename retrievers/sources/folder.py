"""A folder on the server: files below a directory that the settings allow. Links are not followed, wherever they lead."""

import asyncio
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

from core.errors import InvalidRequest, NotFound, TooLarge, Unavailable, UnreadableFile
from core.settings import Settings
from retrievers.sources.base import Content, Entry, Listing, Place

#: Folders that hold no documents of anybody's.
SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "site-packages"})
_OPENED = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """`location` is `{"path": the absolute path of a directory}`. Hidden files are left out."""

    at_once = 2

    def __init__(self, root: Path, settings: Settings) -> None:
        self._root, self._settings = root, settings

    @staticmethod
    def check(place: Place, settings: Settings) -> dict[str, Any]:
        given = place.location.get("path")
        if set(place.location) != {"path"} or not isinstance(given, str) or not given.startswith("/") or "\0" in given:
            raise InvalidRequest("A folder is the absolute path of one on the server.", code="invalid_source", param="location")
        root = _allowed(Path(given), place.tenant, settings)
        return {"path": str(root)}

    @staticmethod
    def open(place: Place, settings: Settings) -> "Folder":
        return Folder(Path(Folder.check(place, settings)["path"]), settings)

    async def look(self) -> Listing:
        return await asyncio.to_thread(self._list)

    async def read(self, entry: Entry, known: str, scratch: Path) -> Content | None:
        return await asyncio.to_thread(self._read, entry, scratch)

    async def close(self) -> None:
        """Nothing is held."""

    def _list(self) -> Listing:
        closed: list[tuple[str, str, str]] = []
        most = self._settings.sources.files

        def note(error: OSError) -> None:
            if len(closed) == most:
                return
            name = os.path.relpath(str(error.filename), self._root) if error.filename else ""
            closed.append((_readable(name), "cannot_be_read", f"It cannot be read: {error.strerror or type(error).__name__}."))

        if not self._root.is_dir():
            raise Unavailable("The folder is not there, or cannot be looked into.", code="source_unreachable")
        entries: list[Entry] = []
        for name, found in _walk(self._root, note):
            if len(entries) == most:
                return Listing(entries, complete=False, problems=[*closed, _too_many(most)])
            entries.append(Entry(name, mark=_mark(found), size=found.st_size))
        return Listing(entries, complete=not closed, problems=closed)

    def _read(self, entry: Entry, scratch: Path) -> Content:
        limit = self._settings.limits.upload_bytes
        try:
            descriptor = _opened_below(self._root, entry.name)
        except FileNotFoundError as error:
            raise NotFound("The file is gone.", code="file_not_found") from error
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):  # a link since it was listed
                raise NotFound("The file is gone.", code="file_not_found") from error
            raise UnreadableFile(f"It cannot be read: {error.strerror}.", code="cannot_be_read") from error
        with open(descriptor, "rb") as source:
            found = os.fstat(source.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise NotFound("The file is gone.", code="file_not_found")
            if found.st_size > limit:
                raise TooLarge(f"The document is larger than {limit:,} bytes.", code="file_too_large")
            target = scratch / uuid4().hex
            try:
                with target.open("xb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
            except OSError as error:
                raise UnreadableFile(f"It cannot be read: {error.strerror}.", code="cannot_be_read") from error
        return Content(target, _mark(found))


def _allowed(path: Path, tenant: str, settings: Settings) -> Path:
    """The path, resolved, where the settings allow it to the tenant. What is not allowed is not told from what is not there."""
    resolved = Path(os.path.realpath(path))
    for folder in settings.sources.folders:
        if folder.tenants and tenant not in folder.tenants:
            continue
        if resolved.is_relative_to(Path(os.path.realpath(folder.path))):
            return resolved
    raise InvalidRequest(
        "Documents may not come from that folder: GENAI_SOURCES__FOLDERS names those that they may.",
        code="source_not_allowed",
        param="location",
    )


def _walk(root: Path, note: Any) -> Iterator[tuple[str, os.stat_result]]:
    for folder, folders, files in os.walk(root, onerror=note, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SKIPPED)
        for name in sorted(files):
            path = os.path.join(folder, name)
            try:
                found = os.lstat(path)
            except FileNotFoundError:  # gone since
                continue
            except OSError as error:  # it may be there: a folder that may be listed alone, a share that does not answer
                note(error)
                continue
            relative = os.path.relpath(path, root)
            if not name.startswith(".") and stat.S_ISREG(found.st_mode) and _readable(relative) == relative:
                yield relative, found


def _opened_below(root: Path, name: str) -> int:
    """A file below `root`, opened step by step, so that no link in between leads elsewhere."""
    *folders, last = PurePosixPath(name).parts
    at = os.open(root, _OPENED | os.O_DIRECTORY)
    try:
        for folder in folders:
            below = os.open(folder, _OPENED | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        return os.open(last, _OPENED | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)


def _mark(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns}-{found.st_size}"


def _readable(name: str) -> str:
    """A name as text; one that is none is told with what can be shown of it."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _too_many(most: int) -> tuple[str, str, str]:
    return "", "too_many_files", f"There are more than {most:,} files; the others are left out (GENAI_SOURCES__FILES)."
