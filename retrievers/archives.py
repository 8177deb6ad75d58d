"""What is in an archive, read within bounds, in a child process. No name of an archive's is ever a path here: members are
handed on as bytes, or written under numbers."""

import bz2
import gzip
import lzma
import re
import stat
import tarfile
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BufferedIOBase, BytesIO
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from core.errors import UnreadableFile
from retrievers.packages import ARCHIVES, BZIP2, GZIP, MAX_PACKING, PACKING_COUNTS_ABOVE_BYTES, TAR, ZIP, may_be_archive
from retrievers.sniffing import sniff

#: Archives within archives, the outermost counted.
MAX_DEPTH = 3
#: All members together, unpacked.
MAX_TOTAL_BYTES = 512 * 2**20
#: Entries that are looked at, folders and what is left out included.
MAX_LOOKED_AT = 20_000

_LOOKED_BEHIND = 64 * 2**10
_DRIVE = re.compile(r"[A-Za-z]:")
#: What systems put beside the files that people have.
_LEFT_OUT_FOLDERS = frozenset({"__MACOSX"})
_LEFT_OUT = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_UTF8_NAME = 0x800
_BROKEN = (BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, IndexError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many members all levels may have together, and how large each may be."""

    members: int
    member_bytes: int
    total_bytes: int = MAX_TOTAL_BYTES
    path_bytes: int = 900


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive by its path there, `/` between folders and between an archive and what is in it. `data` is None
    where it cannot be read; `code` and `message` then say why."""

    path: str
    data: bytes | None
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A member that has been written under `number`, or could not be read (None)."""

    path: str
    number: int | None
    code: str = ""
    message: str = ""


class BeyondBounds(UnreadableFile):
    """The archive as a whole is more than is read."""

    code = "file_too_complex"


def unpack_into(file: Path, name: str, target: Path, bounds: Bounds) -> tuple[str, list[Unpacked]]:
    """Write the members into `target`, each under a number. Archives in it are opened in turn, their members told by
    `inner.zip/path`. The archive's media type, and what was found.

    Raises:
        UnreadableFile: the archive cannot be read: `encrypted_file`, `corrupt_file`, `file_too_complex`,
            `too_many_documents`; nothing of it counts then.
    """
    data = file.read_bytes()
    media_type = sniff(data, name)
    found: list[Unpacked] = []
    for number, member in enumerate(members(data, media_type, name, bounds)):
        if member.data is not None:
            (target / str(number)).write_bytes(member.data)
        written = number if member.data is not None else None
        found.append(Unpacked(member.path, written, member.code, member.message))
    return media_type, found


def members(data: bytes, media_type: str, name: str, bounds: Bounds) -> Iterator[Member]:
    """The members of an archive in its order, one at a time, those of archives in it in their place.

    Raises:
        UnreadableFile: as `unpack_into`.
    """
    yield from _Unpacking(bounds).walk(data, media_type, name, "", 1)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file as the archive's directory tells it. `read` gives at most so many bytes; `packed` is its size in the archive, None
    where it is packed with the others; `refused` says why it is not read."""

    name: str
    read: Callable[[int], bytes]
    packed: int | None = None
    refused: tuple[str, str] | None = None


class _Unpacking:
    """One archive with all that is in it: what was read of it counts against the same bounds on every level."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._left_bytes = bounds.total_bytes
        self._members = self._looked_at = 0
        self._seen: set[str] = set()

    def walk(self, data: bytes, media_type: str, name: str, above: str, depth: int) -> Iterator[Member]:
        try:
            for entry in _entries(data, media_type, name, self._allowed(len(data))):
                self._looked_at += 1
                if self._looked_at > MAX_LOOKED_AT:
                    raise BeyondBounds("The archive has too many entries.")
                if entry is not None and not _is_left_out(entry.name):
                    yield from self._take(entry, above, depth)
        except UnreadableFile:
            raise
        except _BROKEN as error:
            raise UnreadableFile("The archive is damaged.", code="corrupt_file") from error

    def _take(self, entry: _Entry, above: str, depth: int) -> Iterator[Member]:
        shown, harmless = clean_path(entry.name)
        path = self._unused(self._shortened(above + shown))
        refused = entry.refused
        if not harmless or not path.startswith(above + shown):
            refused = ("invalid_name", "The member's name leads out of the archive, is too long, or has control characters.")
        data = None
        if refused is None:
            data, refused = self._read(entry)
        nested = self._nested(data, path) if data is not None else None
        if data is not None and nested is not None:
            if depth < MAX_DEPTH:
                yield from self._open(data, nested, path, depth)
                return
            data, refused = None, ("file_too_complex", f"Archives are opened {MAX_DEPTH} deep, and this one lies deeper.")
        self._members += 1
        if self._members > self._bounds.members:
            raise BeyondBounds(
                f"The archive holds more than {self._bounds.members} files; divide it.", code="too_many_documents"
            )
        code, message = refused or ("", "")
        yield Member(path, data, code, message)

    def _open(self, data: bytes, media_type: str, path: str, depth: int) -> Iterator[Member]:
        """An archive in the archive. What is wrong with it is told under its own name."""
        try:
            yield from self.walk(data, media_type, path, f"{path}/", depth + 1)
        except BeyondBounds:
            raise
        except UnreadableFile as error:
            yield Member(path, None, error.code, error.message)

    def _read(self, entry: _Entry) -> tuple[bytes | None, tuple[str, str] | None]:
        limit = min(self._bounds.member_bytes, self._left_bytes)
        if entry.packed is not None:
            limit = min(limit, self._allowed(entry.packed))
        try:
            data = entry.read(limit + 1)
        except NotImplementedError:
            return None, ("unsupported_file_type", "The member is packed in a way that cannot be read.")
        except BeyondBounds:
            raise
        except _BROKEN:
            return None, ("corrupt_file", "The member is damaged.")
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise BeyondBounds("The archive would unpack to too much.")
        if len(data) > limit:
            return None, ("file_too_complex", "The member would unpack to too much.")
        return data, None

    def _allowed(self, packed: int) -> int:
        """What so many packed bytes may become."""
        return min(2 * self._bounds.total_bytes, max(PACKING_COUNTS_ABOVE_BYTES, MAX_PACKING * packed))

    @staticmethod
    def _nested(data: bytes, path: str) -> str | None:
        """The media type of a member that is an archive. What is wrong with one is said when it is read as a document."""
        if not may_be_archive(data):
            return None
        try:
            kind = sniff(data, path)
        except UnreadableFile:
            return None
        return kind if kind in ARCHIVES else None

    def _shortened(self, path: str) -> str:
        return path.encode()[: self._bounds.path_bytes].decode("utf-8", "ignore")

    def _unused(self, path: str) -> str:
        """The path, with a number where the archive has it twice."""
        unused, number = path, 1
        while unused in self._seen:
            number += 1
            unused = f"{path} ({number})"
        self._seen.add(unused)
        return unused


def clean_path(name: str) -> tuple[str, bool]:
    """A member's name as a path that can be shown, and whether it was harmless: neither absolute, nor climbing, nor with
    control characters. Backslashes divide folders, as older programs write them."""
    slashed = name.replace("\\", "/")
    parts = [part for part in slashed.split("/") if part not in ("", ".", "..")]
    path = "/".join(parts) or "unnamed"
    shown = "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in path)
    climbs = slashed.startswith("/") or bool(_DRIVE.match(slashed)) or ".." in slashed.split("/")
    return shown, bool(parts) and not climbs and shown == path


def _is_left_out(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return parts[-1] in _LEFT_OUT or parts[0] in _LEFT_OUT_FOLDERS


def _entries(data: bytes, media_type: str, name: str, allowed: int) -> Iterator[_Entry | None]:
    """The files; None for a folder."""
    if media_type == ZIP:
        yield from _zip_entries(data)
    elif media_type == TAR:
        yield from _tar_entries(_Counted(BytesIO(data), len(data)))
    else:
        head = _opened(data, media_type).read(512)
        stream = _Counted(_opened(data, media_type), allowed)
        if _is_tar(head):
            yield from _tar_entries(stream)
        else:
            yield _Entry(_stem(name), stream.read, len(data))


def _zip_entries(data: bytes) -> Iterator[_Entry | None]:
    with ZipFile(BytesIO(data)) as archive:
        for info in archive.infolist():
            name = _zip_name(info)
            if name.endswith(("/", "\\")):
                yield None
                continue
            refused = None
            if info.flag_bits & 1:
                refused = ("encrypted_file", "The member is protected with a password.")
            elif stat.S_ISLNK(info.external_attr >> 16):
                refused = _LINK
            yield _Entry(name, partial(_read_zip, archive, info), info.compress_size, refused)


def _zip_name(info: ZipInfo) -> str:
    """The whole name, with what stands behind a NUL, and in UTF-8 where that is what a program wrote without saying so."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8_NAME:
        try:
            return name.encode("cp437").decode("utf-8")
        except UnicodeError:
            return name
    return name


def _read_zip(archive: ZipFile, info: ZipInfo, size: int) -> bytes:
    with archive.open(info) as opened:
        return opened.read(size)


def _tar_entries(stream: "_Counted") -> Iterator[_Entry | None]:
    with tarfile.open(fileobj=stream, mode="r|", errors="surrogateescape") as archive:  # type: ignore[call-overload]  # reads alone
        for info in archive:
            if info.isdir():
                yield None
            elif info.isreg():
                yield _Entry(info.name, partial(_read_tar, archive, info))
            else:
                yield _Entry(info.name, _nothing, refused=_LINK if info.issym() or info.islnk() else _DEVICE)
        # it ends where a header is damaged as well as where the archive does; behind its end there are zeros alone
        behind = archive.fileobj.read(_LOOKED_BEHIND)
        if behind.strip(b"\0") or stream.given % tarfile.BLOCKSIZE:
            raise EOFError


def _read_tar(archive: tarfile.TarFile, info: tarfile.TarInfo, size: int) -> bytes:
    opened = archive.extractfile(info)
    content = opened.read(size) if opened else b""
    if len(content) < min(size, info.size):
        raise EOFError
    return content


def _nothing(_: int) -> bytes:
    return b""


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _opened(data: bytes, media_type: str) -> BufferedIOBase:
    if media_type == GZIP:
        return gzip.GzipFile(fileobj=BytesIO(data))
    return bz2.BZ2File(BytesIO(data)) if media_type == BZIP2 else lzma.LZMAFile(BytesIO(data))


class _Counted:
    """A stream that gives no more than is allowed, and counts what it has given."""

    def __init__(self, inner: BufferedIOBase, allowed: int) -> None:
        self._inner = inner
        self._left = allowed
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        content = self._inner.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(content)
        self.given += len(content)
        if self._left < 0:
            raise BeyondBounds("The archive would unpack to too much.")
        return content


def _stem(name: str) -> str:
    """What a single packed file is called: `notes.txt` in `notes.txt.gz`."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    stem, _, suffix = last.rpartition(".")
    return stem if stem and suffix.lower() in ("gz", "bz2", "xz") else last or "content"


_LINK = ("unsupported_file_type", "The member is a link, which is not followed.")
_DEVICE = ("unsupported_file_type", "The member is no file.")
