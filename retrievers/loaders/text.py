"""Plain text, Markdown and source code: the text stays as it is, sections tell its structure."""

import re
from collections.abc import Iterator

from core.errors import UnreadableFile
from retrievers.base import LoadedDocument, Section
from retrievers.loaders.assembly import MAX_CHARACTERS
from retrievers.loaders.code import code_sections
from retrievers.loaders.encoding import clean, decode
from retrievers.sniffing import SOURCE, language_of, sniff

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*\{?\.?([\w+#.-]*)")
_MARK = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_DELIMITER_ROW = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?\n)?(?:---|\.\.\.)[ \t]*(?:\n|$)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:(.+)$", re.MULTILINE)


def load_text(data: bytes, name: str) -> LoadedDocument:
    """Text in any encoding. Markdown gets a section for each heading, fenced block and table; source code one
    for each definition.

    Raises:
        UnreadableFile: `file_too_complex` beyond `MAX_CHARACTERS`.
    """
    media_type = sniff(data, name)
    text = clean(decode(data))
    if len(text) > MAX_CHARACTERS:
        raise UnreadableFile(f"The file holds more than {MAX_CHARACTERS:,} characters of text.", code="file_too_complex")
    if media_type == "text/markdown":
        sections = tuple(markdown_sections(text))
        return LoadedDocument(text, media_type, sections, title=_markdown_title(text, sections))
    if media_type == SOURCE:
        return source_document(text, language_of(name, text))
    return LoadedDocument(text, "text/plain", (Section(0, len(text)),))


def source_document(text: str, language: str | None) -> LoadedDocument:
    """Code, with a section for each definition where its language's grammar is known."""
    return LoadedDocument(text, SOURCE, code_sections(text, language))


def markdown_sections(text: str) -> Iterator[Section]:
    """Stretches of Markdown in order: prose under one path of headings, fenced code, tables. They cover all but blanks."""
    front = _FRONT_MATTER.match(text)
    position = front.end() if front else 0
    headings: list[tuple[int, str]] = []
    start, kind, language, fence = position, "prose", None, ""
    previous = (position, "")  # where the last line began, and what it was

    def close(end: int) -> Iterator[Section]:
        if text[start:end].strip():
            yield Section(start, end, heading=tuple(title for _, title in headings), kind=kind, language=language)

    for line in text[position:].splitlines(keepends=True):
        at, end, bare = position, position + len(line), line.rstrip("\n")
        position = end
        if kind == "code":
            if bare.strip().startswith(fence) and not bare.strip().strip(fence[0]):
                yield from close(end)
                start, kind, language = end, "prose", None
        elif opened := _FENCE.match(bare):
            yield from close(at)
            start, kind, language, fence = at, "code", opened[2].lower() or None, opened[1]
        elif kind == "table" and "|" in bare:
            pass
        elif kind == "prose" and "|" in bare and "|" in previous[1] and _DELIMITER_ROW.match(bare):
            yield from close(previous[0])
            start, kind = previous[0], "table"
        else:
            if kind == "table":
                yield from close(at)
                start, kind = at, "prose"
            if found := _heading(bare, previous, at):
                level, title, begin = found
                if text[start:begin].strip():
                    yield from close(begin)
                    start = begin
                headings = [*(above for above in headings if above[0] < level), (level, title)]
        previous = (at, bare)
    yield from close(len(text))


def _heading(bare: str, previous: tuple[int, str], at: int) -> tuple[int, str, int] | None:
    """The level, title and start of a heading that this line makes, alone or as the line under it."""
    if marked := _MARK.match(bare):
        title = bare[marked.end() :].strip()
        without_close = title.rstrip("#")
        if without_close != title and without_close[-1:] in ("", " ", "\t"):
            title = without_close.strip()
        return (len(marked[1]), title, at) if title else None
    above = previous[1].strip()
    if above and _UNDERLINE.match(bare) and not above.startswith(("#", ">", "|", "-", "*", "`")):
        return (1 if bare.strip()[0] == "=" else 2), above, previous[0]
    return None


def _markdown_title(text: str, sections: tuple[Section, ...]) -> str | None:
    front = _FRONT_MATTER.match(text)
    if front and (named := _FRONT_TITLE.search(front[0])):
        return named[1].strip().strip("\"'")[:500] or None
    return next((section.heading[0][:500] for section in sections if section.heading), None)
