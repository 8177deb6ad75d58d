"""Brings one document's content into the stores: read, parse, split, embed, upsert."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import structlog

from core.errors import Unavailable
from core.settings import Settings
from core.tables import Document, GenerationState
from core.threads import run_to_end
from retrievers import chunk_ledger, lexical, splitting
from retrievers.base import Chunk, LoadedDocument, Shelf, Vectors
from retrievers.generations import Generation, check_model

if TYPE_CHECKING:
    from retrievers.generations import Generations
    from retrievers.library import Resources

log = structlog.get_logger(__name__)

#: Chunks that are embedded in one call, and that one call to the store carries.
_EMBEDDED_AT_ONCE = 32
_STORED_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class IndexedDocument:
    """What a document's row says once its content is in the stores. `text_key` is the extracted text, UTF-8, in the file
    store: citations are offsets into it; `chunks_key` is the list of the chunks (`retrievers.chunk_ledger`). `pages` is None
    without pages. `generation` is the one that holds them; None where they are in none yet."""

    chunks: int
    characters: int
    pages: int | None
    media_type: str
    text_key: str
    chunks_key: str
    chunks_digest: str
    generation: Generation | None = None


class Indexer:
    """Belongs to no event loop; blocking work runs in threads or in the parser's child process."""

    def __init__(self, settings: Settings, resources: "Resources", generations: "Generations") -> None:
        self._settings = settings
        self.resources = resources
        self.generations = generations

    async def pipeline_of(self, shelf: Shelf) -> str:
        """The fingerprint that documents of a collection have when they are brought in now."""
        return self.pipeline_fingerprint(await self.generations.current(shelf))

    def pipeline_fingerprint(self, generation: Generation) -> str:
        """Changes when the same content would give other chunks or vectors: loaders, splitter, sizes, embedding model, lexical
        index. It stays what it was where chunks were copied from another generation, and where the same model is at another
        provider."""
        from retrievers.parsing import LOADERS_VERSION

        tokens, overlap = generation.splitting.sizes(self._settings.retrieval)
        models, alias = self.resources.models, generation.embeddings
        store, origin = generation.origin
        parts = (
            str(LOADERS_VERSION),
            splitting.VERSION,
            lexical.VERSION,
            str(tokens),
            str(overlap),
            store,
            origin if models.gives_vectors_of(generation.model, alias) else models.embedding_name(alias),
            *([generation.splitting.by] if generation.splitting.by != "structure" else []),
        )
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]

    async def index(self, document: Document) -> IndexedDocument:
        """Put the content of `document.revision` into the stores, beside that of `indexed_revision`, which stays until
        `retire` is called. May be repeated, also after it was cut short at any point.

        A search finds the new chunks once the row's `indexed_revision` says so. Set it in the transaction that marks the
        document as ready, then call `retire`.

        Raises:
            UnreadableFile: the content cannot be used (narrower codes say why); trying again does not help. Or it is an archive
                (`parsing.ARCHIVE_FOUND`), whose members are to be brought in instead.
            Conflict: `embedding_changed`: see `check_model`. Nothing was read or written.
            Unavailable: a store did not take what it was given.
        """
        resources = self.resources
        shelf, document_id, revision = Shelf.of(document), document.id, document.revision
        generation = await self.generations.current(shelf)
        check_model(resources, generation)
        indexed, chunks = await self.read(document, revision, generation)
        # what an interrupted try has left, and with the same revision in the stores all of it
        kept = document.indexed_revision if document.indexed_revision not in (0, revision) else None
        await self._forget(shelf, document_id, kept)
        await self.store(generation, chunks)
        await run_to_end(resources.lexical.upsert, shelf, chunks)
        log.info(
            "document.indexed", document_id=document_id, revision=revision, chunks=len(chunks), characters=indexed.characters
        )
        return replace(indexed, generation=generation)

    async def read(self, document: Document, revision: int, generation: Generation) -> tuple[IndexedDocument, list[Chunk]]:
        """The original's chunks as that revision's, their list and the extracted text in the file store. Raises as `index`."""
        from retrievers.parsing import parse

        files, place = self.resources.files, f"{document.collection_id}/{document.id}/{revision}"
        async with files.local(document.file_key, tenant=document.tenant) as original:
            loaded = await parse(original, document.name, settings=self._settings, apart=True, lane="bulk")
        await files.put(f"{place}/text", loaded.text.encode(), tenant=document.tenant)
        chunks = await asyncio.to_thread(self._split, document, loaded, revision, generation)
        await files.put(f"{place}/chunks", await asyncio.to_thread(chunk_ledger.pack, chunks), tenant=document.tenant)
        indexed = IndexedDocument(
            chunks=len(chunks),
            characters=len(loaded.text),
            pages=loaded.pages,
            media_type=loaded.media_type,
            text_key=f"{place}/text",
            chunks_key=f"{place}/chunks",
            chunks_digest=chunk_ledger.digest(chunk.id for chunk in chunks),
        )
        return indexed, chunks

    async def store(self, generation: Generation, chunks: Sequence[Chunk]) -> None:
        """Embed these chunks and have the generation's store hold them. May be repeated.

        Raises:
            Conflict: `embedding_changed`: see `check_model`.
            Unavailable: the store did not take what it was given.
        """
        for first in range(0, len(chunks), _STORED_AT_ONCE):
            some = chunks[first : first + _STORED_AT_ONCE]
            await self.put(generation, some, await self.embed(generation, some))

    async def embed(self, generation: Generation, chunks: Sequence[Chunk]) -> Vectors:
        """The vectors of these chunks by the generation's model, a batch after the other.

        Raises:
            Conflict: `embedding_changed`: see `check_model`.
        """
        embeddings = self.resources.models.embeddings(generation.embeddings)
        check_model(self.resources, generation)  # of what goes on being used, whatever is deployed meanwhile
        vectors: list[list[float]] = []
        for first in range(0, len(chunks), _EMBEDDED_AT_ONCE):
            texts = [embedded_text(chunk) for chunk in chunks[first : first + _EMBEDDED_AT_ONCE]]
            vectors += await embeddings.aembed_documents(texts)
        return np.asarray(vectors, dtype=np.float32)

    async def retire(self, document: Document) -> None:
        """Delete the chunks of all revisions but the row's `indexed_revision` (all of them where it is 0). May be repeated."""
        await self._forget(Shelf.of(document), document.id, document.indexed_revision or None)

    async def forget(self, document: Document) -> None:
        """Delete all chunks of a document from the stores. May be repeated.

        Raises:
            Unavailable: one of them does not answer, be it that of a former generation.
        """
        await self._forget(Shelf.of(document), document.id, None, everywhere=True)

    async def withdraw(self, generation: Generation, document_id: str, *, keep_revision: int | None = None) -> None:
        """Delete what was written of a document to a generation that is not active any more: nobody else would, where it was
        dropped meanwhile. `keep_revision` stays where it was not, and whose store is away then is brought up to it before it
        is used, or dropped. May be repeated.

        Raises:
            Unavailable: the store of one that was dropped does not answer.
        """
        there = {(one.store, one.shelf) for one in await self.generations.all(generation.collection)}
        is_there = (generation.store, generation.shelf) in there
        store, kept = self.generations.store(generation), keep_revision if is_there else None
        try:
            await run_to_end(store.delete_document, generation.shelf, document_id, keep_revision=kept)
        except Unavailable:
            if not is_there:
                raise

    async def forget_collection(self, shelf: Shelf) -> None:
        """Delete all chunks of a collection from the stores, of every generation. May be repeated."""
        for generation in await self.generations.all(shelf):
            await run_to_end(self.generations.store(generation).delete_collection, generation.shelf)
        await run_to_end(self.resources.lexical.delete_collection, shelf)

    async def _forget(self, shelf: Shelf, document_id: str, keep_revision: int | None, *, everywhere: bool = False) -> None:
        """From every generation. One that is not active and whose store is away is brought up to it before it is used, or
        dropped; unless it has to be gone `everywhere` now."""
        words = self.resources.lexical
        for generation in await self.generations.all(shelf):
            store = self.generations.store(generation)
            try:
                await run_to_end(store.delete_document, generation.shelf, document_id, keep_revision=keep_revision)
            except Unavailable:
                if generation.state is GenerationState.ACTIVE or (
                    everywhere and generation.state is not GenerationState.FILLING
                ):
                    raise
        await run_to_end(words.delete_document, shelf, document_id, keep_revision=keep_revision)

    def _split(self, document: Document, loaded: LoadedDocument, revision: int, generation: Generation) -> list[Chunk]:
        tokens, overlap = generation.splitting.sizes(self._settings.retrieval)
        return splitting.split(
            replace(loaded, attributes={**loaded.attributes, **document.attributes}),
            document_id=document.id,
            name=document.name,
            revision=revision,
            tokens_of=lambda text: self.resources.models.embedding_tokens(text, generation.embeddings),
            max_tokens=tokens,
            overlap=overlap,
            by=generation.splitting.by,
        )

    async def put(self, generation: Generation, chunks: Sequence[Chunk], matrix: Vectors) -> None:
        """Have the generation's store hold these chunks with their vectors; what it has not taken is given to it once more.

        Raises:
            Unavailable: it did not take it then either.
        """
        store, shelf = self.generations.store(generation), generation.shelf
        ids = [chunk.id for chunk in chunks]
        await run_to_end(store.upsert, shelf, chunks, matrix)
        for _ in range(2):
            stored = {chunk.id for chunk in await asyncio.to_thread(store.get, shelf, ids)}
            lost = [number for number, chunk_id in enumerate(ids) if chunk_id not in stored]
            if not lost:
                return
            log.warning("store.lost_chunks", collection_id=shelf.collection_id, chunks=len(lost))
            await run_to_end(store.upsert, shelf, [chunks[number] for number in lost], matrix[lost])
        raise Unavailable("The vector store does not keep what it is given.", code="store_unavailable")


def embedded_text(chunk: Chunk) -> str:
    """What is embedded of a chunk: its context, then its text."""
    return f"{chunk.context}\n\n{chunk.text}" if chunk.context else chunk.text
