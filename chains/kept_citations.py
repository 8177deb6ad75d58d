"""What a kept answer says of where it comes from: places, no quotes. Whoever reads the answer again is shown what stands there
now, if that is what was quoted, and if they may still read it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from chains.citations import Citation
from core.errors import DecryptionFailed, Forbidden, NotFound
from core.principals import Principal
from core.tables import Collection
from retrievers.library import Library

_DIGITS = 16


class KeptCitation(Citation):
    """A citation of an answer that is read again."""

    collection: str = Field(description="the collection that was asked")


def to_keep(citations: Sequence[Citation], collection: str) -> list[dict[str, Any]]:
    """The citations as they are kept with an answer: without the quote, by a digest of which it is known again."""
    return [{**one.model_dump(exclude={"quote"}), "collection": collection, "digest": _digest(one.quote)} for one in citations]


class Reopening:
    """Kept citations for one reader, each document read once. Lives for one answer of the API."""

    def __init__(self, library: Library, principal: Principal) -> None:
        self._library, self._principal = library, principal
        self._collections: dict[str, Collection | None] = {}
        self._texts: dict[tuple[str, str], str] = {}

    async def opened(self, kept: Sequence[Mapping[str, Any]]) -> list[KeptCitation]:
        """Those whose document still says what was quoted, with the quote. Those of documents that are deleted, that have new
        content in that place, or that the reader may not read (any more) are left out."""
        found = []
        for one in kept if self._principal.may_search else ():
            text = await self._text(one["collection"], one["document_id"])
            quote = text[one["start"] : one["end"]]
            if quote and _digest(quote) == one["digest"]:
                found.append(KeptCitation(**{name: one[name] for name in one if name != "digest"}, quote=quote))
        return found

    async def _text(self, name: str, document_id: str) -> str:
        key = name, document_id
        if key not in self._texts:
            try:
                if name not in self._collections:
                    self._collections[name] = await self._collection(name)
                collection = self._collections[name]
                self._texts[key] = (
                    "" if collection is None else await self._library.documents.text(self._principal, collection, document_id)
                )
            except (NotFound, DecryptionFailed):
                self._texts[key] = ""
        return self._texts[key]

    async def _collection(self, name: str) -> Collection | None:
        try:
            return await self._library.collections.get(self._principal, name)
        except (NotFound, Forbidden):
            return None


def _digest(quote: str) -> str:
    return hashlib.sha256(quote.encode()).hexdigest()[:_DIGITS]
