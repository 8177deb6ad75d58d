"""Where the bytes of files lie: a local directory, or an object store (S3, GCS, Azure Blob, …). What is in them is sealed by
`core.files`; here they are bytes by key."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from core.settings import Settings, SettingsError

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
_UNFINISHED = ".unfinished"
_UNFINISHED_FOR_S = 24 * 3600
_MOVE_TRIES = 100


@dataclass(frozen=True, slots=True)
class Stored:
    """What a listing says of one key. `modified`: when it was written, in seconds since 1970, as the storage has it; 0 where it
    does not say."""

    key: str
    size: int
    modified: float


class Storage(Protocol):
    """Where the bytes lie. Calls block; a missing key raises `FileNotFoundError`, other trouble another `OSError`."""

    def write(self, key: str, source: bytes | Path) -> None:
        """All or nothing: a reader sees the old content or the new one, whatever happens meanwhile."""
        ...

    def read(self, key: str) -> bytes: ...

    def fetch(self, key: str, scratch: Path) -> Path:
        """A local file with the content: the stored one itself, not to be changed, or a copy below `scratch`."""
        ...

    def exists(self, key: str) -> bool: ...

    def delete(self, key: str) -> None: ...

    def delete_below(self, prefix: str) -> None: ...

    def listed(self) -> Iterator[Stored]:
        """Every key there is, in no order. What comes or goes meanwhile may be in it or not."""
        ...


def checked(key: str) -> str:
    """The key itself.

    Raises:
        ValueError: it is empty, absolute, climbs (`..`), or has other characters than identifiers have.
    """
    if not _KEY.fullmatch(key) or len(key) > 500:
        raise ValueError(f"not a key of the file store: {key[:100]!r}")
    return key


def open_storage(settings: Settings) -> Storage:
    """The storage that `files_url` names; the data directory without one.

    Raises:
        SettingsError: the URL's scheme is unknown, or its driver is not installed.
    """
    url = settings.files_url
    if not url:
        return Directory(settings.path("files"))
    if url.startswith("file://"):
        return Directory(Path(url.removeprefix("file://")))
    return ObjectStore(url)


def check_files_url(url: str | None, setting: str = "GENAI_FILES_URL") -> None:
    """Refuse an address of a file store, which `setting` gives, that cannot be opened here, without connecting or importing its
    driver.

    Raises:
        SettingsError: the scheme is unknown, its package (which the message names) is not installed, or a path is relative.
    """
    if not url:
        return
    if url.startswith("file://"):
        if not Path(url.removeprefix("file://")).is_absolute():
            raise SettingsError(f"{setting}: file:// is followed by an absolute path, as in file:///var/lib/genai/files")
        return
    from fsspec.registry import known_implementations, registry  # type: ignore[import-untyped]  # it ships no types

    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in {*known_implementations, *registry}:
        raise SettingsError(f"{setting} is no address of a file store: s3://…, gs://…, az://… or file://…")
    package = known_implementations.get(scheme, {}).get("class", "fsspec").partition(".")[0]
    if find_spec(package) is None:
        raise SettingsError(
            f"{setting}: {scheme}:// needs the package {package}, which is installed beside the platform: "
            f".venv/bin/pip install {package}"
        )


class Directory:
    """Files in a local directory. A write goes to a file beside and is moved into place once it is on the disk.

    One that is `private`, as a backup's, makes directories for its owner alone, and none before it is written to."""

    def __init__(self, root: Path, *, private: bool = False) -> None:
        self._root = root
        self._unfinished = root / _UNFINISHED
        self._private = private
        if not private:
            self._make(self._unfinished)
        self._sweep()

    def make(self) -> None:
        """Make the directory where it is not there.

        Raises:
            OSError: it cannot be made.
        """
        self._make(self._root)

    def tidy(self) -> None:
        """Leave nothing but what was written, once nobody writes any more."""
        with suppress(OSError):  # it is not empty: somebody does
            self._unfinished.rmdir()

    def _make(self, directory: Path) -> None:
        """With those above it, up to the root."""
        if not self._private:
            directory.mkdir(parents=True, exist_ok=True)
            return
        above = [each for each in directory.parents if each.is_relative_to(self._root)]
        for each in (*reversed(above), directory):
            each.mkdir(mode=0o700, parents=each == self._root, exist_ok=True)

    def write(self, key: str, source: bytes | Path) -> None:
        self._make(self._unfinished)
        handle, name = tempfile.mkstemp(dir=self._unfinished)
        try:
            with os.fdopen(handle, "wb") as target:
                if isinstance(source, Path):
                    with source.open("rb") as opened:
                        shutil.copyfileobj(opened, target, 1024 * 1024)
                else:
                    target.write(source)
                target.flush()
                os.fsync(target.fileno())
            self._move(Path(name), self._root / key)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _move(self, source: Path, target: Path) -> None:
        for tries_left in reversed(range(_MOVE_TRIES)):
            try:
                self._make(target.parent)
                source.replace(target)
            except (FileNotFoundError, FileExistsError):  # the directory was deleted meanwhile
                if not tries_left:
                    raise
            else:
                return

    def read(self, key: str) -> bytes:
        return (self._root / key).read_bytes()

    def fetch(self, key: str, scratch: Path) -> Path:
        path = self._root / key
        if not path.is_file():
            raise FileNotFoundError(key)
        return path

    def exists(self, key: str) -> bool:
        return (self._root / key).is_file()

    def delete(self, key: str) -> None:
        (self._root / key).unlink(missing_ok=True)

    def delete_below(self, prefix: str) -> None:
        self._make(self._unfinished)
        doomed = tempfile.mkdtemp(dir=self._unfinished)
        try:  # moved away at once, so that a write at the same time meets the old directory or a new one
            (self._root / prefix).rename(Path(doomed, "all"))
        except (FileNotFoundError, NotADirectoryError):
            pass
        finally:
            shutil.rmtree(doomed, ignore_errors=True)  # what a late write still adds is swept at the next start

    def listed(self) -> Iterator[Stored]:
        for place, below, names in os.walk(self._root):
            if _UNFINISHED in below:
                below.remove(_UNFINISHED)
            for name in names:
                path = Path(place, name)
                try:
                    found = path.stat()
                except FileNotFoundError:  # deleted meanwhile
                    continue
                yield Stored(path.relative_to(self._root).as_posix(), found.st_size, found.st_mtime)

    def _sweep(self) -> None:
        """Remove what processes that were killed while writing left behind."""
        for path in self._unfinished.iterdir() if self._unfinished.is_dir() else ():
            try:
                if time.time() - path.stat().st_mtime < _UNFINISHED_FOR_S:
                    continue
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
            except FileNotFoundError:  # another process was faster
                continue


class ObjectStore:
    """Any store that fsspec knows. One PUT is atomic there. Whatever its driver raises beside an `OSError` becomes one."""

    def __init__(self, url: str, setting: str = "GENAI_FILES_URL") -> None:
        import fsspec  # type: ignore[import-untyped]  # it ships no types

        check_files_url(url, setting)
        scheme = url.partition("://")[0]
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise SettingsError(f"{setting}: {scheme}:// cannot be used: {error}") from error
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise SettingsError(f"{setting}: {scheme}:// does not answer: {reason}") from error

    def _path(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}"

    def write(self, key: str, source: bytes | Path) -> None:
        with _as_oserror():
            if isinstance(source, Path):
                self._fs.put_file(str(source), self._path(key))
            else:
                self._fs.pipe_file(self._path(key), source)

    def read(self, key: str) -> bytes:
        with _as_oserror():
            content: bytes = self._fs.cat_file(self._path(key))
        return content

    def fetch(self, key: str, scratch: Path) -> Path:
        target = scratch / "content"
        with _as_oserror():
            self._fs.get_file(self._path(key), str(target))
        return target

    def exists(self, key: str) -> bool:
        with _as_oserror():
            return bool(self._fs.isfile(self._path(key)))

    def delete(self, key: str) -> None:
        with suppress(FileNotFoundError), _as_oserror():
            self._fs.rm_file(self._path(key))

    def delete_below(self, prefix: str) -> None:
        with suppress(FileNotFoundError), _as_oserror():
            self._fs.rm(self._path(prefix), recursive=True)

    def listed(self) -> Iterator[Stored]:
        start = len(self._root.rstrip("/")) + 1
        try:
            with _as_oserror():
                found = self._fs.find(self._root, detail=True)
        except FileNotFoundError:
            return
        for path, about in found.items():
            yield Stored(path[start:], int(about.get("size") or 0), _modified(about))


@contextmanager
def _as_oserror() -> Iterator[None]:
    """Drivers raise what they like: errors of their SDK, or of the HTTP client below it. Their texts may hold signed addresses,
    so that only the kind of the error is told."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"the object store failed: {type(error).__name__}") from error


def _modified(about: dict[str, Any]) -> float:
    """When a file was written: S3's, Azure's, Google's and local file systems' names for it."""
    for name in ("LastModified", "last_modified", "updated", "mtime", "created"):
        moment = about.get(name)
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        if isinstance(moment, datetime):
            return moment.timestamp()
        if isinstance(moment, int | float):
            return float(moment)
    return 0.0
