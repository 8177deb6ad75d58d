"""Search in a collection."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from core.principals import Principal, Scope
from retrievers.base import Passage, Shelf
from retrievers.highlights import Stretch, highlights
from retrievers.steps.step import StepTaken
from server.auth import requires
from server.routes.collections import CollectionName
from server.state import CurrentState

router = APIRouter(prefix="/api/v1/rag/collections/{name}/search", tags=["Search"])

Reader = Annotated[Principal, requires(Scope.RAG_READ, Scope.RAG_SEARCH)]


class SearchRequest(BaseModel):
    """What to look for."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"query": "Which setting chooses the port?", "limit": 5}]}
    )

    query: str = Field(min_length=1, max_length=8000)
    limit: int = Field(10, ge=1, le=100)
    filter: dict[str, Any] | None = Field(
        None,
        description="what passages must have: values, or conditions on them, of the metadata, `document` (the name), "
        "`document_id`, `page`. All entries must hold; `and`, `or` and `not` join others; operators are `eq`, `ne`, `lt`, "
        "`lte`, `gt`, `gte`, `in`, `exists`, `contains`",
        examples=[{"year": {"gte": 2024}}],
    )
    mode: Literal["hybrid", "dense", "lexical"] = Field("hybrid", description="by meaning (dense), by words (lexical), or both")
    highlight: bool = Field(False, description="tell where the query's words stand in the passages")


class PassageScores(BaseModel):
    """What a passage's score was made of; null: that was not asked."""

    dense: float | None = Field(description="by meaning: the cosine to the query")
    lexical: float | None = Field(description="by words: BM25; 0 where no word is shared")
    fused: float | None = Field(description="of a hybrid search: both, weighed, from 0 to 1")
    rerank: float | None = Field(description="what the reranker said, from 0 to 1, where the collection has one")


class Highlight(BaseModel):
    """A stretch of the stored text, in characters, as the passage's own `start` and `end`."""

    start: int
    end: int


class FoundPassage(BaseModel):
    """A passage. `text` is the stored text's `[start:end]`, in characters."""

    document: str
    document_id: str
    chunk_id: str
    text: str
    score: float = Field(description="grows with relevance; comparable within one answer only")
    page: int | None
    start: int
    end: int
    metadata: dict[str, Any]
    scores: PassageScores
    highlights: list[Highlight] | None = Field(None, description="words of the query, where `highlight` asked for them")

    @classmethod
    def of(cls, passage: Passage, marked: Sequence[Stretch] | None = None) -> "FoundPassage":
        chunk = passage.chunk
        begin = chunk.start
        return cls(
            document=chunk.document,
            document_id=chunk.document_id,
            chunk_id=chunk.id,
            text=chunk.text,
            score=passage.score,
            page=chunk.page_at(chunk.start),
            start=chunk.start,
            end=chunk.end,
            metadata=dict(chunk.attributes),
            scores=PassageScores(
                dense=passage.similarity, lexical=passage.by_words, fused=passage.fused, rerank=passage.judged
            ),
            highlights=None if marked is None else [Highlight(start=begin + start, end=begin + end) for start, end in marked],
        )


class StepInfo(BaseModel):
    """An optional step of the search, as the collection's settings ask for it."""

    step: str = Field(description="its name in the settings", examples=["mmr"])
    skipped: str | None = Field(description="the code of why it was not taken; null: it was")

    @classmethod
    def of(cls, step: StepTaken) -> "StepInfo":
        return cls(step=step.name, skipped=step.skipped)


class SearchResults(BaseModel):
    """Passages, the best first."""

    results: list[FoundPassage]
    degraded: bool = Field(
        False,
        description="the embedding model did not answer, or is another than the collection was filled with: a hybrid search "
        "was made by words alone; or this server's word index is still catching up: it was made by meaning alone, a lexical "
        "one with what is there; or passages are still being put back after a restore; or a step was skipped",
    )
    steps: list[StepInfo] = Field(default_factory=list, description="the optional steps, in their order")
    warnings: list[str] = Field(
        default_factory=list, description="why nothing can be found: an attribute of the filter that no document has"
    )


@router.post("")
async def search(name: CollectionName, request: SearchRequest, state: CurrentState, principal: Reader) -> SearchResults:
    """Find passages."""
    collection = await state.library.collections.get(principal, name)
    found = await state.retrieval.find(collection, request.query, limit=request.limit, mode=request.mode, filter=request.filter)
    passages = found.passages
    warnings = [] if passages else await state.library.searcher.unknown_attributes(Shelf.of(collection), request.filter)
    marked: list[list[Stretch] | None] = [None] * len(passages)
    if request.highlight:
        texts, words = [passage.chunk.text for passage in passages], state.library.resources.lexical.words
        marked = list(await asyncio.to_thread(highlights, request.query, texts, words))
    results = [FoundPassage.of(*one) for one in zip(passages, marked, strict=True)]
    steps = [StepInfo.of(step) for step in found.steps]
    return SearchResults(results=results, degraded=found.impaired, steps=steps, warnings=warnings)
