"""Builds a document's text block by block, and remembers page, headings and kind of every stretch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from core.errors import UnreadableFile
from retrievers.base import LoadedDocument, Section
from retrievers.loaders.encoding import clean
from retrievers.loaders.grid import lines

MAX_CHARACTERS = 30_000_000
_BLOCK_END = "\n\n"
_UNNAMED = frozenset({"anonymous", "untitled", "unnamed", "unspecified", "unknown", "none", "null", "no title", "unbenannt"})


class Assembly:
    """Blocks are added in reading order; `document` gives the whole. Prose that follows prose under the same heading and on
    the same page is one section; code and tables are sections of their own, a table with the headings right above it.

    Raises (every adding method):
        UnreadableFile: `file_too_complex`, the text has grown beyond `MAX_CHARACTERS`.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._sections: list[Section] = []
        self._headings: list[tuple[int, str]] = []
        self._page: int | None = None
        self._open: int | None = None
        self._only_headings = False

    @property
    def empty(self) -> bool:
        return self._length == 0

    def page(self, number: int | None, *, anew: bool = False) -> None:
        """What follows stands on this page (counted from 1; None: on none); with `anew` under no heading of before."""
        self._close()
        self._page = number
        if anew:
            self._headings = []

    def heading(self, level: int, text: str) -> None:
        """A heading of level 1 (outermost) to 9. It begins the section that follows."""
        text = " ".join(clean(text).split())
        if not text:
            return
        if not self._only_headings:
            self._close()
        self._headings = [*((depth, above) for depth, above in self._headings if depth < level), (level, text)]
        self._add(text)
        self._only_headings = True

    def prose(self, text: str) -> None:
        """A paragraph, or a list item."""
        text = clean(text).strip()
        if text:
            self._add(text)
            self._only_headings = False

    def code(self, text: str, language: str | None = None) -> None:
        """Lines whose white space counts."""
        self._block(clean(text).strip("\n").rstrip(), "code", language)

    def table(self, rows: Iterable[Sequence[str]], *, heads: int, caption: str = "") -> None:
        """One line a row below the caption. The first `heads` rows name the columns, and every line repeats the names, so
        that a row found alone can be understood."""
        told = lines(rows, heads=heads, at_most=MAX_CHARACTERS)
        self._block("\n".join(filter(None, [" ".join(clean(caption).split()), *told])), "table", None)

    def include(self, document: LoadedDocument) -> None:
        """Another document, under the headings that are open; its pages are counted on from the page that is."""
        if not document.text.strip():
            return
        headed = self._headed()
        start, above, first = self._write(document.text), self._path(), self._page
        for number, section in enumerate(document.sections):
            page = first if first is None else first + (section.page or 1) - 1
            begin = start + section.start if number or headed is None else headed
            moved = replace(section, start=begin, end=start + section.end, page=page)
            self._sections.append(replace(moved, heading=(*above, *section.heading)))

    def document(
        self,
        media_type: str,
        *,
        title: str | None = None,
        pages: int | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> LoadedDocument:
        """All that was added. Nothing may be added afterwards."""
        self._close()
        return LoadedDocument(
            text="".join(self._parts),
            media_type=media_type,
            sections=tuple(self._sections),
            pages=pages,
            title=_named(title),
            attributes=attributes or {},
        )

    def _block(self, text: str, kind: str, language: str | None) -> None:
        if not text.strip():
            return
        if kind == "table":
            headed = self._headed()
        else:
            headed = None
            self._close()
        start = self._write(text)
        self._sections.append(
            Section(start if headed is None else headed, self._length, self._page, self._path(), kind, language)
        )

    def _add(self, text: str) -> None:
        start = self._write(text)
        if self._open is None:
            self._open = start

    def _write(self, text: str) -> int:
        """Append a block; where it starts."""
        if self._parts:
            self._parts.append(_BLOCK_END)
            self._length += len(_BLOCK_END)
        start = self._length
        self._parts.append(text)
        self._length += len(text)
        if self._length > MAX_CHARACTERS:
            raise UnreadableFile(f"The file holds more than {MAX_CHARACTERS:,} characters of text.", code="file_too_complex")
        return start

    def _close(self) -> None:
        """End the open stretch of prose."""
        if self._open is not None:
            self._sections.append(Section(self._open, self._length, self._page, self._path()))
        self._open = None
        self._only_headings = False

    def _headed(self) -> int | None:
        """As `_close`, but for headings that nothing follows yet: where these begin, to be a part of what comes."""
        headed = self._open if self._only_headings else None
        if headed is not None:
            self._open = None
        self._close()
        return headed

    def _path(self) -> tuple[str, ...]:
        return tuple(text for _, text in self._headings)


def _named(title: str | None) -> str | None:
    """A title that says something: programs write `(anonymous)` or `Untitled` where nobody has given one."""
    words = " ".join(clean(title or "").split())[:500]
    return None if words.strip("()[]<>").lower() in _UNNAMED else words or None
