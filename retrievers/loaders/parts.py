"""Files within a file, read as one text: each under its name, its pages counted on from those before it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from core.errors import UnreadableFile
from retrievers import LOADERS
from retrievers.archives import MAX_DEPTH, Bounds, Member, members
from retrievers.base import LoadedDocument
from retrievers.loaders.assembly import Assembly
from retrievers.packages import ARCHIVES, COMPOSED
from retrievers.sniffing import sniff

#: What an archive within a mail, or one that is read as a whole, may hold.
_BOUNDS = Bounds(members=200, member_bytes=64 * 2**20, total_bytes=128 * 2**20)

_depth: ContextVar[int] = ContextVar("depth", default=0)


class Picture(Exception):
    """The page that was asked for: its file, and its page there."""

    def __init__(self, data: bytes, media_type: str, page: int) -> None:
        super().__init__(media_type, page)
        self.data, self.media_type, self.page = data, media_type, page


_wanted: ContextVar[int | None] = ContextVar("wanted", default=None)


class Parts:
    """Adds parts to an assembly that stands on page `pages` of the whole (0 where nothing is there yet)."""

    def __init__(self, assembly: Assembly, pages: int) -> None:
        self.assembly = assembly
        self.pages = pages
        self.unread: list[int] = []

    def add(self, part: Member) -> None:
        """Read a part. One that cannot be read is told of by its name and the reason, in its place.

        Raises:
            UnreadableFile: `file_too_complex`, the whole holds too much text.
        """
        first = self.pages + 1
        self.assembly.page(first, anew=True)
        document = self._read(part, first)
        if isinstance(document, str):
            self.pages += 1
            self.assembly.heading(1, part.path)
            self.assembly.prose(f"Not read: {document}")
            return
        self.pages += document.pages or 1
        self.unread += [self.pages - (document.pages or 1) + page for page in document.unread_pages]
        if document.text.strip():
            self.assembly.heading(1, part.path)
            self.assembly.include(document)

    @staticmethod
    def _read(part: Member, first: int) -> LoadedDocument | str:
        """The part, or why it cannot be read."""
        if part.data is None:
            return part.message
        try:
            with _deeper():
                media_type = sniff(part.data, part.path)
                document: LoadedDocument = LOADERS.load(media_type)(part.data, part.path)
        except UnreadableFile as error:
            return error.message
        wanted = _wanted.get()
        if wanted is not None and first <= wanted < first + (document.pages or 1):
            raise Picture(part.data, media_type, wanted - first + 1)
        return document


def load_archive(data: bytes, name: str) -> LoadedDocument:
    """All that is in an archive as one document, for where it cannot be many: each member a part.

    Raises:
        UnreadableFile: as `retrievers.archives.members`.
    """
    media_type = sniff(data, name)
    parts = Parts(Assembly(), 0)
    for member in members(data, media_type, name, _BOUNDS):
        parts.add(member)
    return finished(parts, media_type)


def archived(data: bytes, name: str) -> Iterator[Member]:
    """A file as the parts that it adds: the members of an archive, anything else itself."""
    try:
        kind = sniff(data, name)
    except UnreadableFile:
        kind = ""
    if kind not in ARCHIVES:
        yield Member(name, data)
        return
    try:
        for member in members(data, kind, name, _BOUNDS):
            yield Member(f"{name}/{member.path}", member.data, member.code, member.message)
    except UnreadableFile as error:
        yield Member(name, None, error.code, error.message)


def finished(
    parts: Parts, media_type: str, *, title: str | None = None, attributes: dict[str, str] | None = None
) -> LoadedDocument:
    """The whole, with the pages that are still to be read by OCR."""
    document = parts.assembly.document(media_type, title=title, pages=parts.pages or None, attributes=attributes)
    return replace(document, unread_pages=tuple(parts.unread))


def picture_of(data: bytes, media_type: str, page: int) -> tuple[bytes, str, int]:
    """The file within the file that a page of the whole belongs to, its media type, and its page there.

    Raises:
        UnreadableFile: `corrupt_file` where there is no such page, and as the loaders.
    """
    while media_type in COMPOSED:
        before = _wanted.set(page)
        try:
            LOADERS.load(media_type)(data, "")
        except Picture as found:
            data, media_type, page = found.data, found.media_type, found.page
        else:
            raise UnreadableFile("The file has no such page.", code="corrupt_file")
        finally:
            _wanted.reset(before)
    return data, media_type, page


@contextmanager
def _deeper() -> Iterator[None]:
    """A level further within.

    Raises:
        UnreadableFile: `file_too_complex` too far within.
    """
    depth, wanted = _depth.set(_depth.get() + 1), _wanted.set(None)
    try:
        if _depth.get() > MAX_DEPTH:
            raise UnreadableFile(f"It lies more than {MAX_DEPTH} files deep.", code="file_too_complex")
        yield
    finally:
        _depth.reset(depth)
        _wanted.reset(wanted)
