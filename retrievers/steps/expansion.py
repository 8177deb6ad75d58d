"""Passages with what stands round them: neighbouring chunks, or all of the section, as one stretch of the document's text."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile, zip_longest
from typing import TYPE_CHECKING

from sqlmodel import col, select

from core.database import Database
from core.errors import NotFound
from core.tables import Document
from retrievers.base import Chunk, KeepsStretches, Passage, Shelf
from retrievers.generations import Generation, last_known
from retrievers.steps.settings import Expansion
from retrievers.steps.step import Retrieved, Step, Unable

if TYPE_CHECKING:
    from retrievers.library import Resources

#: Characters of a chunk at most, for how far to look. A token is seldom longer than eight.
_CHARACTERS_A_TOKEN = 8


class ExpansionStep(Step):
    """Each passage becomes one chunk of text that equals the stored text's `[start:end]`, of the same document and revision.
    Passages that come to overlap become one, at the place of the better. `Chunk.parts` keeps whose page is whose."""

    step = "expansion"

    def __init__(self, settings: Expansion, database: Database, resources: "Resources", *, chunk_tokens: int) -> None:
        self._settings, self._database, self._resources = settings, database, resources
        self._chunk_tokens = chunk_tokens

    async def take(self, found: Retrieved) -> Sequence[Passage]:
        generation = last_known(self._resources, found.shelf)
        store = self._resources.store_of(generation.store)
        if not isinstance(store, KeepsStretches):
            raise Unable("This vector store does not tell what stands round a passage.")
        whole: list[Passage] = []
        waiting = list(found.passages)
        while waiting and len(whole) < found.limit:  # those that were joined have made room
            passages = waiting[: found.limit - len(whole)]
            del waiting[: len(passages)]
            texts = await self._texts(found.shelf, passages)
            for passage in passages:
                text = texts.get(passage.chunk.document_id)
                parts = await asyncio.to_thread(self._round, store, generation, passage.chunk)
                _add(whole, passage, parts, text)
        return whole

    def _round(self, store: KeepsStretches, generation: Generation, chunk: Chunk) -> list[Chunk]:
        """The chunk and its neighbours, in order."""
        settings = self._settings
        chunks = settings.most_chunks if settings.unit == "section" else max(settings.before, settings.after)
        # the collection's own size, or the platform's, of which there are chunks until all is read again
        reach = chunks * max(self._chunk_tokens, generation.splitting.tokens or 0) * _CHARACTERS_A_TOKEN
        start, end = max(0, chunk.start - reach), chunk.end + reach
        near = [
            one for one in store.stretch(generation.shelf, chunk.document_id, chunk.revision, start, end) if one.id != chunk.id
        ]
        before = sorted((one for one in near if one.start < chunk.start), key=lambda one: one.start)
        after = sorted((one for one in near if one.start >= chunk.start), key=lambda one: one.start)
        if self._settings.unit == "section":
            return _section(before, chunk, after, self._settings.most_chunks)
        return [*before[max(0, len(before) - self._settings.before) :], chunk, *after[: self._settings.after]]

    async def _texts(self, shelf: Shelf, passages: Sequence[Passage]) -> Mapping[str, str]:
        """The extracted texts of the passages' documents, of the revision that the passages are of."""
        revisions = {passage.chunk.document_id: passage.chunk.revision for passage in passages}
        async with self._database.session(shelf.tenant) as session:
            rows = await session.exec(
                select(Document.id, Document.indexed_revision, Document.text_key).where(
                    Document.collection_id == shelf.collection_id, col(Document.id).in_(sorted(revisions))
                )
            )
            keys = {document_id: key for document_id, revision, key in rows.all() if revision == revisions[document_id] and key}
        texts = {}
        for document_id, key in keys.items():
            try:
                texts[document_id] = (await self._resources.files.get(key, tenant=shelf.tenant)).decode("utf-8")
            except NotFound:  # deleted since
                continue
        return texts


def _section(before: Sequence[Chunk], chunk: Chunk, after: Sequence[Chunk], most: int) -> list[Chunk]:
    """The chunk with those around it that stand under the same headings, nearest first until there are `most`."""
    above = list(takewhile(lambda one: one.context == chunk.context, reversed(before)))
    below = list(takewhile(lambda one: one.context == chunk.context, after))
    around = [one for pair in zip_longest(above, below) for one in pair if one is not None]
    return [chunk, *around[: most - 1]]


def _add(whole: list[Passage], passage: Passage, parts: Sequence[Chunk], text: str | None) -> None:
    """Add a passage with its neighbours to those before it, or to the best of them that it overlaps."""
    chunk = passage.chunk
    if text is None or text[chunk.start : chunk.end] != chunk.text:  # replaced since: as it was found
        whole.append(passage)
        return
    start, end = min(part.start for part in parts), max(part.end for part in parts)
    overlapped = [
        other
        for other in whole
        if (other.chunk.document_id, other.chunk.revision) == (chunk.document_id, chunk.revision)
        and other.chunk.start < end
        and start < other.chunk.end
    ]
    if not overlapped:
        whole.append(replace(passage, chunk=_merged(chunk, parts, text)))
        return
    joined = {part.id: part for other in overlapped for part in other.chunk.parts or (other.chunk,)}
    joined |= {part.id: part for part in parts}
    best = overlapped[0]
    whole[whole.index(best)] = replace(best, chunk=_merged(best.chunk, list(joined.values()), text))
    for other in overlapped[1:]:
        whole.remove(other)


def _merged(chunk: Chunk, parts: Sequence[Chunk], text: str) -> Chunk:
    ordered = tuple(sorted(parts, key=lambda part: part.start))
    start, end = ordered[0].start, max(part.end for part in ordered)
    return replace(chunk, text=text[start:end], start=start, end=end, parts=ordered if len(ordered) > 1 else ())
