"""Splits a loaded document into chunks: along its sections, paragraphs, sentences and rows, by the embedding model's tokens."""

import hashlib
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from retrievers.base import Chunk, LoadedDocument, Section
from retrievers.seams import Seam, Seams, last_seam
from retrievers.sentences import units
from retrievers.sniffing import EXTENSIONS

#: Text → the character offsets of its tokens, in order.
TokensOf = Callable[[str], Sequence[tuple[int, int]]]

#: Raise it when a change here makes other chunks of the same document.
VERSION = "4"
#: Sections are tokenised in blocks of about this many characters, so that memory does not follow the document's size.
_BLOCK_CHARACTERS = 60_000
#: A section shorter than this share of a chunk is joined with the ones after it.
_SMALL = 0.15
#: How far a chunk may stay below its size so that it ends at a better place.
_WINDOW = 0.45
#: What a cut is worth, in parts of a chunk that it may be away from the wanted size: amid a sentence, before a sentence, a
#: line, a paragraph.
_WORTH = (-1.0, 0.0, 0.1, 0.25)
_CONTEXT_CHARACTERS = 240
_WORD = re.compile(r"[^\W\d_]{3}")


def split(
    document: LoadedDocument,
    *,
    document_id: str,
    name: str,
    revision: int,
    tokens_of: TokensOf,
    max_tokens: int,
    overlap: int,
    by: str = "structure",
) -> list[Chunk]:
    """The document's chunks in order, with `text == document.text[start:end]`; each has, together with its context, at most
    `max_tokens` tokens, so that an embedding model of that length reads all of it.

    A chunk never crosses a page. By "structure" it is of one section, but for small ones, by "size" of all that fit. Long
    sections are cut into chunks of about the same size, at the end of a paragraph, else of a line, of a sentence, of a word;
    a word, a number in groups, a private key, and a secret with its name are cut only where nothing else in reach of the size
    can be. Up to `overlap` tokens of whole sentences are repeated at such a cut, none in tables and code. Chunk ids depend on
    the document, its revision and the position alone.
    """
    text = document.text
    overlap = min(overlap, max_tokens // 2)
    title = _title(document.title or _stem(name))
    chunks: list[Chunk] = []
    for section in _joined(document, tokens_of, max_tokens, by_size=by == "size"):
        size = max(max_tokens - len(tokens_of(_context(text, title, section, section.end))), max_tokens // 2)
        for start, end in _cut(text, section, tokens_of, size, overlap if section.kind == "prose" else 0):
            chunks.append(
                Chunk(
                    id=chunk_id(document_id, revision, start, end),
                    document_id=document_id,
                    document=name,
                    revision=revision,
                    text=text[start:end],
                    start=start,
                    end=end,
                    page=section.page,
                    context=_context(text, title, section, start),
                    attributes={**document.page_attributes.get(section.page or 0, {}), **document.attributes},
                )
            )
    return chunks


def chunk_id(document_id: str, revision: int, start: int, end: int) -> str:
    """The identifier of a stretch of a document's text."""
    digest = hashlib.sha256(f"{document_id}\0{revision}\0{start}\0{end}".encode()).hexdigest()[:32]
    return f"chk_{digest}"


def _sections(document: LoadedDocument) -> Iterator[Section]:
    """The sections in order, without overlap, with what lies between them."""
    position = 0
    previous = Section(0, 0)
    for section in sorted(document.sections, key=lambda section: section.start):
        start, end = max(section.start, position), min(section.end, len(document.text))
        if document.text[position:start].strip():
            yield replace(previous, start=position, end=start, kind="prose")
        if start < end and document.text[start:end].strip():
            yield replace(section, start=start, end=end)
            previous = section
        position = max(position, end)
    if document.text[position:].strip():
        yield replace(previous, start=position, end=len(document.text), kind="prose")


def _joined(document: LoadedDocument, tokens_of: TokensOf, max_tokens: int, *, by_size: bool) -> Iterator[Section]:
    """Sections, small ones joined with their neighbours on the page while they fit into one chunk together; `by_size` all
    that fit, whatever their headings."""
    held: Section | None = None
    held_tokens = 0
    for section in _sections(document):
        long = section.end - section.start > 12 * max_tokens
        tokens = max_tokens + 1 if long else len(tokens_of(document.text[section.start : section.end]))
        if held is not None:
            small = by_size or min(held_tokens, tokens) < _SMALL * max_tokens
            if small and held_tokens + tokens <= max_tokens and _may_join(held, section, by_size):
                shared = tuple(a for a, b in zip(held.heading, section.heading, strict=False) if a == b)
                held, held_tokens = replace(held, end=section.end, heading=shared), held_tokens + tokens
                continue
            yield held
        held, held_tokens = section, tokens
    if held is not None:
        yield held


def _may_join(first: Section, second: Section, by_size: bool) -> bool:
    if first.page != second.page or first.kind != second.kind or first.kind == "table":
        return False
    if by_size or first.kind == "code":
        return first.language == second.language
    depth = min(len(first.heading), len(second.heading), 1)
    return first.heading[:depth] == second.heading[:depth]


def _cut(text: str, section: Section, tokens_of: TokensOf, max_tokens: int, overlap: int) -> Iterator[tuple[int, int]]:
    """The spans of a section's chunks, without blanks around them."""
    start = section.start
    while start < section.end:
        end = section.end
        if end - start > 1.5 * _BLOCK_CHARACTERS:
            half, end = start + _BLOCK_CHARACTERS // 2, start + _BLOCK_CHARACTERS
            newline = text.rfind("\n", half, end)
            end = newline + 1 if newline > 0 else last_seam(text, half, end) or end
            end = Seams(text, half, end).key_over(end) or end
        yield from _cut_block(text, start, end, section.kind != "prose", tokens_of, max_tokens, overlap)
        start = end


def _cut_block(
    text: str, start: int, end: int, lines: bool, tokens_of: TokensOf, max_tokens: int, overlap: int
) -> Iterator[tuple[int, int]]:
    tokens = [start + offset for offset, last in tokens_of(text[start:end]) if last > offset]
    if not tokens:
        return
    # what begins at a token: 3 a paragraph, 2 a line, 1 a sentence
    quality: dict[int, int] = {}
    paragraph = -1
    for unit in units(text, start, end, lines=lines):
        quality[bisect_left(tokens, unit.start)] = 3 if unit.paragraph != paragraph else 2 if unit.line else 1
        paragraph = unit.paragraph
    seams = Seams(text, start, end)

    def begins(i: int) -> bool:
        """Whether a repeated sentence may begin there."""
        return bool(quality.get(i, 0)) and seams.at(tokens[i]) > Seam.NUMBER

    count = len(tokens)
    first = 0
    while first < count:
        rest = count - first
        if rest <= max_tokens:
            last = count
        else:
            # equal parts: no tiny one at the end
            size = -(-rest // -(-rest // max_tokens))
            lowest, highest = max(1, int(size * (1 - _WINDOW))), max_tokens
            reach = range(first + 1, min(first + highest, count - 1) + 1)
            ranked = sorted(
                reach[lowest - 1 :],
                key=lambda i: (_WORTH[quality.get(i, 0)] * size - abs(i - first - size), i),
                reverse=True,
            )
            last = _best(seams, tokens, ranked, reach)
        span = _strip(text, tokens[first], end if last == count else tokens[last])
        if span[0] < span[1]:
            yield span
        if last == count:
            return
        repeated = range(max(first + 1, last - overlap), last) if overlap and quality.get(last, 0) < 3 else range(0)
        first = next((i for i in repeated if begins(i)), last)


def _best(seams: Seams, tokens: Sequence[int], ranked: Sequence[int], reach: Sequence[int]) -> int:
    """The first of the `ranked` tokens that begins a word; where none does, the last one of `reach` that does; of a word
    without end, the first one."""
    backwards = reach[::-1]
    for least, among in (
        (Seam.BLANK, ranked),
        (Seam.MARK, ranked),
        (Seam.MARK, backwards),
        (Seam.NUMBER, ranked),
        (Seam.NUMBER, backwards),
    ):
        if (found := next((i for i in among if seams.at(tokens[i]) >= least), None)) is not None:
            return found
    return ranked[0]


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _stem(name: str) -> str:
    """A file's name without its extension, where it is one that files have, and not the end of an address."""
    name = name.strip()
    extension = PurePosixPath(name).suffix
    if extension.lower() not in EXTENSIONS or "@" in name.split()[-1]:
        return name
    return name.removesuffix(extension)


def _title(name: str) -> str:
    """The title or the file's name in words; empty where it holds none (`scan-0042` does, `0042` does not)."""
    words = " ".join(name.split())
    return words if _WORD.search(words) else ""


def _context(text: str, title: str, section: Section, start: int) -> str:
    """What is embedded before the text: the title and the headings above; for the later rows of a table its header."""
    parts = [part for part in (title, *(heading for heading in section.heading if heading != title)) if part]
    context = _shortened(" › ".join(parts))
    if section.kind == "table" and start > section.start:
        header = text[section.start : section.end].lstrip().split("\n", 1)[0].strip()
        context = f"{context}\n{_shortened(header)}"
    return context


def _shortened(context: str) -> str:
    """Its beginning: whole words, and a number whole or not at all."""
    return context[: last_seam(context, 0, _CONTEXT_CHARACTERS) or 0].rstrip(" ›")
