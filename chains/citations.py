"""Citations: where an answer comes from, each checked against the stored text before it is sent."""

import re
from collections.abc import Iterable, Sequence

import structlog
from pydantic import BaseModel, Field

from chains.quotes import Quote
from core.errors import NotFound
from core.principals import Principal
from core.tables import Collection
from retrievers.library import Library
from retrievers.sentences import units

log = structlog.get_logger()

#: `[1]`, `[2, 3]`, and as models write it who were taught otherwise: `【1】`, `【1†source】`, `[Source 1]`, `[^1]`.
_MARK = re.compile(r"[\[【]\s*(?:sources?\s+|\^)?(\d{1,2}(?:\s*[,;]\s*\d{1,2})*)(?:†[^\]】\n]{0,60})?\s*[\]】]", re.IGNORECASE)
#: Where a mark stands right behind a stop, which then ends its sentence as well.
_AT_STOP = re.compile(rf"(?<=[.!?…])(?={_MARK.pattern})", re.IGNORECASE)
#: Marks before a sentence's first word.
_LEADING = re.compile(rf"(?:{_MARK.pattern}[\s,;.]*)+", re.IGNORECASE)


class Citation(BaseModel):
    """A stretch of a document: `quote` equals its extracted text's `[start:end]`, in characters."""

    document: str = Field(description="the document's name")
    document_id: str
    page: int | None = Field(description="counted from 1; null where the document has no pages")
    start: int
    end: int
    quote: str


class Verifier:
    """Checks quotes against what is stored now, reading each document once. Lives for one answer."""

    def __init__(self, library: Library, principal: Principal, collection: Collection) -> None:
        self._library, self._principal, self._collection = library, principal, collection
        self._texts: dict[str, str | None] = {}

    async def verified(self, quotes: Iterable[Quote]) -> list[Quote]:
        """The quotes that are in the stored text where they claim to be. The others are dropped, and the log counts them."""
        kept = []
        dropped = 0
        for quote in quotes:
            text = await self._text(quote.chunk.document_id)
            if text is not None and quote.text and text[quote.start : quote.end] == quote.text:
                kept.append(quote)
            else:
                dropped += 1
        if dropped:
            log.warning("citations.dropped", collection_id=self._collection.id, dropped=dropped, kept=len(kept))
        return kept

    async def _text(self, document_id: str) -> str | None:
        if document_id not in self._texts:
            try:
                self._texts[document_id] = await self._library.documents.text(self._principal, self._collection, document_id)
            except NotFound:  # deleted or replaced while the answer was being made
                self._texts[document_id] = None
        return self._texts[document_id]


def citations(quotes: Sequence[Quote]) -> list[Citation]:
    """The quotes as citations, in order, none twice."""
    found = [
        Citation(
            document=quote.chunk.document,
            document_id=quote.chunk.document_id,
            page=quote.chunk.page_at(quote.start),
            start=quote.start,
            end=quote.end,
            quote=quote.text,
        )
        for quote in quotes
    ]
    return [citation for number, citation in enumerate(found) if citation not in found[:number]]


def marks(text: str) -> list[int]:
    """The numbers of the source marks `[1]`, `[2, 3]` in a text, in order, none twice."""
    numbers = [int(number) for match in _MARK.finditer(text) for number in re.split("[,;]", match.group(1))]
    return list(dict.fromkeys(numbers))


def marked(text: str) -> list[tuple[str, list[int]]]:
    """The sentences of an answer, each with the numbers of its marks, which may stand behind its full stop as well. Where an
    answer begins with a mark, they stand before their sentences."""
    found: list[tuple[str, list[int]]] = []
    before = False
    text = _AT_STOP.sub(" ", text)
    for unit in units(text):
        sentence = text[unit.start : unit.end]
        lead = _LEADING.match(sentence)
        rest = sentence[lead.end() :] if lead else sentence
        if not found:
            before = bool(lead and rest)
        if lead and found and not before and not (unit.line and rest):
            found[-1] = (found[-1][0], list(dict.fromkeys([*found[-1][1], *marks(lead.group())])))
            sentence = rest
        if sentence:
            found.append((sentence, marks(sentence)))
    return found


def without_marks(text: str) -> str:
    """The text without its source marks."""
    return re.sub(r"[ \t]*" + _MARK.pattern, "", text, flags=re.IGNORECASE)
