"""Search in a collection: dense, lexical, or both fused. What the database does not hold as current is never returned."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlmodel import col, select

from core import traces
from core.database import Database
from core.errors import InvalidRequest, PlatformError
from core.tables import Document, DocumentState
from retrievers.attributes import unknown_attributes
from retrievers.base import Chunk, Passage, Shelf
from retrievers.filters import Filter, parse
from retrievers.fusion import fuse

if TYPE_CHECKING:
    from retrievers.following import Following
    from retrievers.library import Resources

log = structlog.get_logger()

Mode = Literal["hybrid", "dense", "lexical"]
#: What each ranking contributes to a fused one at least; deeper does not change the first ten (measured on Cranfield).
_CANDIDATES = 100
_MOST_RESULTS = 200
#: Beyond this the embedding model reads nothing anyway, and BM25 gains nothing.
_QUERY_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class Findings:
    """What a search gave. `degraded`: without what a part would have found that does not answer, or whose index is not up to
    date yet. `by_words`: that was the embedding model, so it was made by words alone."""

    passages: list[Passage]
    degraded: bool = False
    by_words: bool = False


class Searcher:
    """Passages for a query. Belongs to the event loop of its database; blocking work runs in threads."""

    def __init__(self, database: Database, resources: "Resources", following: "Following") -> None:
        self._database = database
        self._resources = resources
        self._following = following

    async def search(
        self,
        shelf: Shelf,
        query: str,
        *,
        limit: int,
        mode: Mode = "hybrid",
        filter: Mapping[str, Any] | Filter | None = None,
    ) -> list[Passage]:
        """The passages of `find`, for whom it makes no difference how they were found."""
        return (await self.find(shelf, query, limit=limit, mode=mode, filter=filter)).passages

    async def find(
        self,
        shelf: Shelf,
        query: str,
        *,
        limit: int,
        mode: Mode = "hybrid",
        filter: Mapping[str, Any] | Filter | None = None,
    ) -> Findings:
        """At most `limit` (1 to 200) passages, best first; empty for an unknown or empty collection.

        `score` is the cosine for `dense`, BM25 for `lexical`, and a number between 0 and 1 for `hybrid`. Chunks of deleted
        documents and of replaced revisions are left out, whatever the stores still hold. A hybrid search without its embedding
        model is made by words alone, one whose word index does not catch up in time by meaning alone; a lexical one is made
        with what that index has by then.

        Raises:
            InvalidRequest: a blank query, a limit out of range, or a filter that is none (`invalid_filter`).
            ProviderFailed, Unavailable: `dense`, and the embedding model does not answer.
        """
        if not query.strip():
            raise InvalidRequest("The query is blank.", param="query")
        if not 1 <= limit <= _MOST_RESULTS:
            raise InvalidRequest(f"The limit must be between 1 and {_MOST_RESULTS}.", param="limit")
        told = {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": shelf.collection_id, "genai.search.mode": mode}
        with traces.span("search", told) as span:
            findings = await self._found(shelf, query[:_QUERY_CHARACTERS], limit, mode, parse(filter))
            if span is not None:
                span.set_attribute("genai.search.results", len(findings.passages))
                span.set_attribute("genai.search.degraded", findings.degraded)
        return findings

    async def _found(self, shelf: Shelf, text: str, limit: int, mode: Mode, filter: Filter | None) -> Findings:
        depth = max(_CANDIDATES, 2 * limit)
        chunks: dict[str, Chunk] = {}
        similarities: dict[str, float] = {}
        lexical: dict[str, float] = {}
        up_to_date = mode == "dense" or await self._up_to_date(shelf)
        by_words = False
        if mode == "lexical":
            lexical = await asyncio.to_thread(self._lexical, shelf, text, depth, filter)
            ranked = list(lexical.items())
        elif mode == "dense":
            vector = await asyncio.to_thread(self._vector, text)
            chunks, similarities = await asyncio.to_thread(self._dense, shelf, vector, depth, filter, None)
            ranked = list(similarities.items())
        else:
            if up_to_date:
                lexical = await asyncio.to_thread(self._lexical, shelf, text, depth, filter)
            try:
                vector = await asyncio.to_thread(self._vector, text)
            except PlatformError as error:
                by_words = True
                log.warning("search.degraded", collection_id=shelf.collection_id, reason=error.code)
                if not up_to_date:
                    lexical = await asyncio.to_thread(self._lexical, shelf, text, depth, filter)
            else:
                chunks, similarities = await asyncio.to_thread(self._dense, shelf, vector, depth, filter, lexical)
            ranked = fuse(similarities, lexical)
        missing = [chunk_id for chunk_id, _ in ranked if chunk_id not in chunks]
        if missing:
            found = await asyncio.to_thread(self._resources.store.get, shelf, missing)
            chunks.update({chunk.id: chunk for chunk in found})
        passages = [
            Passage(chunks[chunk_id], score, similarities.get(chunk_id)) for chunk_id, score in ranked if chunk_id in chunks
        ]
        return Findings((await self._current(shelf, passages))[:limit], by_words or not up_to_date, by_words)

    async def unknown_attributes(self, shelf: Shelf, filter: Mapping[str, Any] | Filter | None) -> list[str]:
        """What to tell about a filter that has found nothing; see `retrievers.attributes`."""
        return await unknown_attributes(self._database, self._resources.lexical, shelf, parse(filter))

    async def _up_to_date(self, shelf: Shelf) -> bool:
        """Whether the word index has all that was brought in and deleted up to now, on whichever server."""
        fresh = await self._following.fresh(shelf)
        if not fresh:
            log.warning("search.degraded", collection_id=shelf.collection_id, reason="words_behind")
        return fresh

    def _lexical(self, shelf: Shelf, text: str, depth: int, filter: Filter | None) -> dict[str, float]:
        with traces.span("search words"):
            return dict(self._resources.lexical.search(shelf, text, depth, filter))

    def _vector(self, text: str) -> NDArray[np.float32]:
        with traces.span("embed query"):
            return np.asarray(self._resources.models.embeddings().embed_query(text), dtype=np.float32)

    def _dense(
        self,
        shelf: Shelf,
        vector: NDArray[np.float32],
        depth: int,
        filter: Filter | None,
        also: Mapping[str, float] | None,
    ) -> tuple[dict[str, Chunk], dict[str, float]]:
        """The nearest chunks, and the similarity of those in `also` that are not among them."""
        with traces.span("search vectors"):
            found = self._resources.store.search(shelf, vector, depth, filter)
            similarities = {chunk.id: similarity for chunk, similarity in found}
            others = [chunk_id for chunk_id in also or () if chunk_id not in similarities]
            similarities |= self._resources.store.similarities(shelf, vector, others)
        return {chunk.id: chunk for chunk, _ in found}, similarities

    async def _current(self, shelf: Shelf, passages: list[Passage]) -> list[Passage]:
        """Those whose document is still there in the revision that the chunk is of."""
        if not passages:
            return []
        ids = sorted({passage.chunk.document_id for passage in passages})
        async with self._database.session(shelf.tenant) as session:
            rows = await session.exec(
                select(Document.id, Document.indexed_revision).where(
                    Document.collection_id == shelf.collection_id,
                    Document.state != DocumentState.DELETING.value,
                    col(Document.id).in_(ids),
                )
            )
            revisions = dict(rows.all())
        return [passage for passage in passages if revisions.get(passage.chunk.document_id) == passage.chunk.revision]
