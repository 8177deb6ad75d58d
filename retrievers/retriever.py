"""Search as LangChain knows it: a retriever over one collection, to be put into anybody's chain."""

from collections.abc import Mapping
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable
from pydantic import ConfigDict

from core.errors import UnsupportedFeature
from retrievers.base import Passage, Shelf
from retrievers.search import Mode, Searcher
from retrievers.steps.step import Retrieved

#: Passages that steps choose from at least.
_CHOSEN_FROM = 40


class CollectionRetriever(BaseRetriever):
    """The `limit` best passages of a collection. Asynchronous: a searcher belongs to one event loop.

    `steps` are what the passages go through behind the search: one of `retrievers.steps`, or several composed with `|`.

    A document's metadata: `document`, `document_id`, `chunk_id`, `page`, `start`, `end`, `score`, and the document's own
    attributes below `attributes`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    searcher: Searcher
    shelf: Shelf
    limit: int = 5
    mode: Mode = "hybrid"
    filter: Mapping[str, Any] | None = None
    steps: Runnable[Retrieved, Retrieved] | None = None

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        raise UnsupportedFeature("This retriever is asynchronous: use `ainvoke`.")

    async def _aget_relevant_documents(self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun) -> list[Document]:
        depth = self.limit if self.steps is None else max(self.limit, _CHOSEN_FROM)
        found = await self.searcher.search(self.shelf, query, limit=depth, mode=self.mode, filter=self.filter)
        if self.steps is not None:
            retrieved = Retrieved(self.shelf, query, self.limit, tuple(found), mode=self.mode, filter=self.filter)
            found = list((await self.steps.ainvoke(retrieved)).passages)
        return [_document(passage) for passage in found[: self.limit]]


def _document(passage: Passage) -> Document:
    chunk = passage.chunk
    return Document(
        id=chunk.id,
        page_content=chunk.text,
        metadata={
            "document": chunk.document,
            "document_id": chunk.document_id,
            "chunk_id": chunk.id,
            "page": chunk.page_at(chunk.start),
            "start": chunk.start,
            "end": chunk.end,
            "score": passage.score,
            "attributes": dict(chunk.attributes),
        },
    )
