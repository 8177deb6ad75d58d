"""Search in a collection: dense, lexical, or both fused. What the database does not hold as current is never returned."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlmodel import col, select

from core import traces
from core.context import current
from core.database import Database
from core.errors import InvalidRequest, PlatformError
from core.tables import Document, DocumentState
from retrievers.attributes import unknown_attributes
from retrievers.base import Chunk, FindsIds, Passage, Shelf
from retrievers.feedback import moved, widened
from retrievers.filters import Filter, parse
from retrievers.fusion import contenders, fuse
from retrievers.generations import Generation, Generations, check_model
from retrievers.indexing import embedded_text
from retrievers.steps.settings import Feedback
from retrievers.steps.step import StepTaken
from retrievers.steps.vectors import vectors_of
from retrievers.store_words import StoreWords, missing

if TYPE_CHECKING:
    from retrievers.following import Following
    from retrievers.library import Resources

log = structlog.get_logger()

Mode = Literal["hybrid", "dense", "lexical"]
#: What each ranking contributes to a fused one at least; deeper does not change the first ten (measured on Cranfield).
_CANDIDATES = 100
_MOST_RESULTS = 200
#: Read beyond what is needed: some may be of deleted documents, or of replaced revisions.
_STALE = 4
#: Beyond this the embedding model reads nothing anyway, and BM25 gains nothing.
_QUERY_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class Findings:
    """What a search gave. `degraded`: without what a part would have found that does not answer, whose index is not up to
    date yet, or whose passages are still being put back after a restore. `by_words`: that was the embedding model, or it is
    not the one that the collection was filled with, so it was made by words alone."""

    passages: list[Passage]
    degraded: bool = False
    by_words: bool = False
    steps: tuple[StepTaken, ...] = ()


@dataclass(frozen=True, slots=True)
class _Asked:
    """A search: how, its words, its vector (None without one), how deep each ranking goes, how many passages of them are
    needed, and what must hold. The vectors are those of one generation, from its beginning to its end."""

    shelf: Shelf
    generation: Generation
    mode: Mode
    words: str
    vector: NDArray[np.float32] | None
    depth: int
    needed: int
    filter: Filter | None
    #: Whether the word index is asked.
    by_words: bool


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Scores by chunk, with those chunks that are known already."""

    chunks: dict[str, Chunk]
    similarities: dict[str, float]
    lexical: dict[str, float]

    def order(self, asked: _Asked) -> list[tuple[str, float]]:
        if asked.mode == "hybrid":
            return fuse(self.similarities, self.lexical, dense_weight=asked.generation.dense_weight)
        return list((self.similarities if asked.mode == "dense" else self.lexical).items())


class Searcher:
    """Passages for a query. Belongs to the event loop of its database; blocking work runs in threads."""

    def __init__(self, database: Database, resources: "Resources", following: "Following") -> None:
        self._database = database
        self._resources = resources
        self._following = following
        self._generations = Generations(database, resources)

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
        feedback: Feedback | None = None,
        beside: Sequence[str] = (),
    ) -> Findings:
        """At most `limit` (1 to 200) passages, best first; empty for an unknown or empty collection.

        `score` is the cosine for `dense`, BM25 for `lexical`, and a number between 0 and 1 for `hybrid`. Chunks of deleted
        documents and of replaced revisions are left out, whatever the stores still hold. A hybrid search without its embedding
        model, or with another one than the collection was filled with, is made by words alone, one whose word index does not
        catch up in time by meaning alone; a lexical one is made with what that index has by then.

        With `feedback` it is made twice, the second time with what the best passages of the first say. `beside` are texts whose
        meaning counts as much as the query's.

        Raises:
            InvalidRequest: a blank query, a limit out of range, or a filter that is none (`invalid_filter`).
            Conflict: `lexical`, and the store that finds the words has not those of all passages (`words_missing`); `dense`,
                and the collection was filled with another embedding model (`embedding_changed`).
            ProviderFailed, Unavailable: `dense`, and the embedding model does not answer.
        """
        if not query.strip():
            raise InvalidRequest("The query is blank.", param="query")
        if not 1 <= limit <= _MOST_RESULTS:
            raise InvalidRequest(f"The limit must be between 1 and {_MOST_RESULTS}.", param="limit")
        told = {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": shelf.collection_id, "genai.search.mode": mode}
        with traces.span("search", told) as span:
            needed = limit if feedback is None else max(limit, feedback.passages)
            asked, degraded = await self._asked(shelf, query[:_QUERY_CHARACTERS], needed, mode, parse(filter), beside)
            found = await self._best(asked, await self._ranked(asked))
            steps: tuple[StepTaken, ...] = ()
            if feedback is not None:
                found, step = await self._fed_back(asked, found, feedback)
                steps = (step,)
            self._note(asked, found)
            findings = Findings(found[:limit], degraded, asked.vector is None and mode != "lexical", steps)
            if span is not None:
                span.set_attribute("genai.search.results", len(findings.passages))
                span.set_attribute("genai.search.degraded", degraded)
                if mode == "hybrid":
                    span.set_attribute("genai.search.dense_weight", asked.generation.dense_weight)
        return findings

    async def _asked(
        self,
        shelf: Shelf,
        text: str,
        needed: int,
        mode: Mode,
        filter: Filter | None,
        beside: Sequence[str],
    ) -> tuple[_Asked, bool]:
        """The search to be made, and whether it has to do without meanings or words that it should have."""
        up_to_date = mode == "dense" or await self._up_to_date(shelf)
        generation = await self._generations.known(shelf)
        if mode != "dense":
            up_to_date = up_to_date and await self._are_whole(shelf, mode)
        vector, degraded = None, generation.restoring or not up_to_date
        if mode != "lexical":
            try:
                vector = await self._vector(generation, text, beside)
            except PlatformError as error:
                if mode == "dense":
                    raise
                degraded = True
                log.warning("search.degraded", collection_id=shelf.collection_id, reason=error.code)
        by_words = mode == "lexical" or (mode == "hybrid" and (up_to_date or vector is None))
        depth = max(_CANDIDATES, 2 * needed)
        return _Asked(shelf, generation, mode, text, vector, depth, needed, filter, by_words), degraded

    async def _ranked(self, asked: _Asked) -> _Ranked:
        chunks: dict[str, Chunk] = {}
        similarities: dict[str, float] = {}
        lexical: dict[str, float] = {}
        if asked.by_words:
            lexical = await asyncio.to_thread(self._lexical, asked.shelf, asked.words, asked.depth, asked.filter)
        if asked.vector is not None:
            chunks, similarities = await asyncio.to_thread(self._dense, asked, asked.vector, lexical)
        return _Ranked(chunks, similarities, lexical)

    async def _best(self, asked: _Asked, ranked: _Ranked) -> list[Passage]:
        """The best passages, as many as are needed. Of what was ranked, only so much is read as they take."""
        order, read = ranked.order(asked), 0
        best: list[Passage] = []
        while read < len(order) and len(best) < asked.needed:
            part = order[read : read + asked.needed + _STALE]
            read += len(part)
            best += await self._current(asked.shelf, await self._passages(asked, ranked, part))
        return best[: asked.needed]

    async def _passages(self, asked: _Asked, ranked: _Ranked, order: Sequence[tuple[str, float]]) -> list[Passage]:
        chunks, store, shelf = ranked.chunks, self._generations.store(asked.generation), asked.generation.shelf
        if missing := [chunk_id for chunk_id, _ in order if chunk_id not in chunks]:
            found = await asyncio.to_thread(store.get, shelf, missing)
            chunks.update({chunk.id: chunk for chunk in found})
        if asked.vector is not None:  # beyond what was needed, not all were compared
            apart = [chunk_id for chunk_id, _ in order if chunk_id in chunks and chunk_id not in ranked.similarities]
            if apart:
                ranked.similarities.update(await asyncio.to_thread(store.similarities, shelf, asked.vector, apart))
        return [
            Passage(
                chunks[chunk_id],
                score,
                ranked.similarities.get(chunk_id),
                by_words=ranked.lexical.get(chunk_id, 0.0) if asked.by_words else None,
                fused=score if asked.mode == "hybrid" else None,
            )
            for chunk_id, score in order
            if chunk_id in chunks
        ]

    async def _fed_back(self, asked: _Asked, found: list[Passage], settings: Feedback) -> tuple[list[Passage], StepTaken]:
        """What is found with what the best of the first search say; where that fails, what was found before."""
        step, best = StepTaken("feedback"), [passage.chunk for passage in found[: settings.passages]]
        if not best:
            return found, step
        try:
            with traces.span("search step", {"genai.search.step": step.name}):
                again = await asyncio.to_thread(self._widened, asked, best, settings)
                return await self._best(again, await self._ranked(again)), step
        except PlatformError as error:
            log.warning("search.step_skipped", step=step.name, collection_id=asked.shelf.collection_id, reason=error.code)
            return found, StepTaken(step.name, error.code)

    def _widened(self, asked: _Asked, best: Sequence[Chunk], settings: Feedback) -> _Asked:
        lexical, shelf = self._resources.lexical, asked.shelf
        vector, words = asked.vector, asked.words
        if vector is not None:
            vector = moved(vector, vectors_of(self._resources, shelf, best))
        if asked.by_words:
            texts = [embedded_text(chunk) for chunk in best]
            words = widened(
                words, texts, settings.terms, words=lexical.words, weights=lambda text: lexical.weights(shelf, text)
            )
        return replace(asked, vector=vector, words=words)

    def _note(self, asked: _Asked, found: Sequence[Passage]) -> None:
        """Count the question, where it has a meaning and may be counted."""
        if asked.vector is None or current().keep_nothing:
            return
        nearest = max((each.similarity for each in found if each.similarity is not None), default=None)
        shelf, model = asked.shelf, asked.generation.model
        self._resources.asked.note(shelf.tenant, shelf.collection_id, model, asked.vector, nearest)

    async def unknown_attributes(self, shelf: Shelf, filter: Mapping[str, Any] | Filter | None) -> list[str]:
        """What to tell about a filter that has found nothing; see `retrievers.attributes`."""
        return await unknown_attributes(self._database, self._resources.lexical, shelf, parse(filter))

    async def _up_to_date(self, shelf: Shelf) -> bool:
        """Whether the word index has all that was brought in and deleted up to now, on whichever server."""
        fresh = await self._following.fresh(shelf)
        if not fresh:
            log.warning("search.degraded", collection_id=shelf.collection_id, reason="words_behind")
        return fresh

    async def _are_whole(self, shelf: Shelf, mode: Mode) -> bool:
        """Whether the store that finds the words has them of every chunk. Raises Conflict where it is asked for them alone."""
        lexical = self._resources.lexical
        if not isinstance(lexical, StoreWords) or await asyncio.to_thread(lexical.is_whole, shelf):
            return True
        if mode == "lexical":
            raise missing()
        log.warning("search.degraded", collection_id=shelf.collection_id, reason="words_missing")
        return False

    def _lexical(self, shelf: Shelf, text: str, depth: int, filter: Filter | None) -> dict[str, float]:
        with traces.span("search words"):
            return dict(self._resources.lexical.search(shelf, text, depth, filter))

    async def _vector(self, generation: Generation, text: str, beside: Sequence[str]) -> NDArray[np.float32]:
        """No thread waits for it: a provider of embeddings that hangs would hold those that all of the platform needs."""
        with traces.span("embed query"):
            model = await asyncio.to_thread(self._resources.models.embeddings, generation.embeddings)
            check_model(self._resources, generation)
            vectors = await asyncio.gather(*(model.aembed_query(one) for one in (text, *beside)))
        mean = np.asarray(vectors, dtype=np.float32).mean(axis=0)
        return mean if not beside else np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)

    def _dense(
        self, asked: _Asked, vector: NDArray[np.float32], lexical: Mapping[str, float]
    ) -> tuple[dict[str, Chunk], dict[str, float]]:
        """The nearest chunks, as far as they had to be read, and the similarities: theirs, and of those that share words and
        may be among the best."""
        with traces.span("search vectors"):
            store, shelf = self._generations.store(asked.generation), asked.generation.shelf
            chunks: dict[str, Chunk] = {}
            if isinstance(store, FindsIds):
                similarities = dict(store.nearest(shelf, vector, asked.depth, asked.filter))
            else:
                found = store.search(shelf, vector, asked.depth, asked.filter)
                chunks = {chunk.id: chunk for chunk, _ in found}
                similarities = {chunk.id: similarity for chunk, similarity in found}
            weight = asked.generation.dense_weight
            if others := contenders(similarities, lexical, asked.needed + _STALE, dense_weight=weight):
                similarities |= store.similarities(shelf, vector, others)
        return chunks, similarities

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
