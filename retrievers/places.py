"""Places in documents: a stretch of the extracted text with what stands around it, and under which page and headings it is."""

import asyncio
from dataclasses import dataclass

from core.errors import DecryptionFailed, InvalidRequest, NotFound
from core.principals import Principal
from core.tables import Collection, Document
from retrievers import chunk_ledger
from retrievers.base import Chunk
from retrievers.library import Library

#: Characters that one look at a text shows at most: of the stretch itself, and on each side of it.
MOST_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Place:
    """`text` is the extracted text's `[start:end]`; `before` ends and `after` begins there; `characters` is the length of all
    of it. `page` counts from 1, and is of the slide or sheet where the format has these; None without pages. `heading` is the
    path of title and headings above, outermost first; empty where none is known."""

    document: Document
    start: int
    end: int
    before: str
    text: str
    after: str
    characters: int
    page: int | None = None
    heading: str = ""


async def find_place(
    library: Library,
    principal: Principal,
    collection: Collection,
    document_id: str,
    start: int,
    end: int,
    *,
    around: int = 0,
) -> Place:
    """The stretch `[start:end]` of what is searchable now, with up to `around` characters on each side. What reaches beyond the
    text's end, or is longer than may be shown, is cut.

    Raises:
        InvalidRequest: the stretch ends before it begins, or begins behind the text's end.
        NotFound: `document_not_found`; `text_not_found`.
    """
    if end < start:
        raise InvalidRequest("A stretch ends where it begins, or behind.", param="end")
    document = await library.documents.get(principal, collection, document_id)
    text = await library.documents.text(principal, collection, document_id)
    if start > len(text):
        raise InvalidRequest(f"The text has {len(text):,} characters.", param="start")
    end = min(end, start + MOST_CHARACTERS, len(text))
    around = min(around, MOST_CHARACTERS)
    chunk = await _chunk_at(library, document, text, start)
    return Place(
        document=document,
        start=start,
        end=end,
        before=text[max(0, start - around) : start],
        text=text[start:end],
        after=text[end : end + around],
        characters=len(text),
        page=chunk.page if chunk else None,
        heading=_heading(chunk) if chunk else "",
    )


def _heading(chunk: Chunk) -> str:
    first, *others = chunk.context.partition("\n")[0].split(" › ")
    return " › ".join(others if chunk.document.startswith(first) else [first, *others])  # a file's name is no heading


async def _chunk_at(library: Library, document: Document, text: str, position: int) -> Chunk | None:
    """The chunk that a character stands in, or else the last one before it; None where no list of chunks can be read."""
    if not document.chunks_key:
        return None  # of before such lists were kept
    try:
        packed = await library.resources.files.get(document.chunks_key, tenant=document.tenant)
        chunks = await asyncio.to_thread(chunk_ledger.unpack, packed, text, document_id=document.id, name=document.name)
    except (NotFound, DecryptionFailed, ValueError):
        return None
    # they may overlap: what a search cites is of the one that begins last
    return max((chunk for chunk in chunks if chunk.start <= position), key=lambda chunk: chunk.start, default=None)
