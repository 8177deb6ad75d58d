"""A snapshot of a collection: one ZIP with its documents, their texts, lists of chunks and vectors, and back into a new one.

`manifest.json` says which form it has and by which model its vectors are. `documents/ID/` holds `document.json`, `original`,
`text`, `chunks` (as `retrievers.chunk_ledger` has it) and, where the store gives them, `vectors.npy`: (n_chunks, dimension)
float32, in the list's order.
"""

import asyncio
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import structlog
from sqlmodel import col, select

from core.database import Database
from core.errors import DecryptionFailed, InvalidRequest, NotFound
from core.tables import Collection, Document, DocumentState
from retrievers import chunk_ledger
from retrievers.base import Chunk, KeepsVectors, Shelf, Vectors
from retrievers.changes import note_change
from retrievers.generations import Generation, GenerationChanged, is_active
from retrievers.indexing import Indexer
from retrievers.splitting import chunk_id

log = structlog.get_logger()

FORM = 1
#: Of a document's row what comes back with it.
_FIELDS = ("name", "media_type", "size", "content_hash", "source_url", "pages", "characters", "attributes", "pipeline")
#: Documents that come back together.
_TOGETHER = 32
_ROWS, _CHUNKS = 200, 256
_REVISION = 1

#: Told after each document how many there were so far.
Told = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Counts:
    """`left_out`: documents that are not searchable, or whose files were gone."""

    documents: int
    chunks: int
    left_out: int


class SnapshotWriter:
    """Of one collection as it is while it is written; documents that come or go meanwhile may be in it or not."""

    def __init__(self, database: Database, indexer: Indexer, collection: Collection) -> None:
        self._database, self._indexer, self._collection = database, indexer, collection
        self._files = indexer.resources.files

    async def write(self, path: Path, told: Told) -> Counts:
        """Write it to a local file."""
        generation = await self._indexer.generations.current(Shelf.of(self._collection))
        documents = chunks = left_out = 0
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            async for row in self._rows():
                written = await self._document(archive, generation, row) if row.indexed_revision else None
                if written is None:
                    left_out += 1
                else:
                    documents, chunks = documents + 1, chunks + written
                await told(documents + left_out)
            about = {
                "form": FORM,
                "collection": self._collection.name,
                "description": self._collection.description,
                "settings": self._collection.settings,
                "model": generation.model,
                "origin": generation.origin,
                "pipeline": self._indexer.pipeline_fingerprint(generation),
                "documents": documents,
                "chunks": chunks,
            }
            await asyncio.to_thread(archive.writestr, "manifest.json", orjson.dumps(about, option=orjson.OPT_INDENT_2))
        return Counts(documents, chunks, left_out)

    async def _rows(self) -> AsyncIterator[Document]:
        last = ""
        while True:
            query = select(Document).where(Document.collection_id == self._collection.id, Document.id > last)
            async with self._database.session(self._collection.tenant) as session:
                rows = (await session.exec(query.order_by(Document.id).limit(_ROWS))).all()
            for row in rows:
                if row.state != DocumentState.DELETING:
                    yield row
            if len(rows) < _ROWS:
                return
            last = rows[-1].id

    async def _document(self, archive: zipfile.ZipFile, generation: Generation, row: Document) -> int | None:
        """How many chunks it has; None where its files are gone, since it was deleted or replaced meanwhile."""
        tenant, place = row.tenant, f"documents/{row.id}"
        try:
            chunks = await chunk_ledger.listed(self._files, row)
            text = await self._files.get(row.text_key, tenant=tenant)
            packed = await self._files.get(row.chunks_key, tenant=tenant)
            async with self._files.local(row.file_key, tenant=tenant) as original:
                await asyncio.to_thread(archive.write, original, f"{place}/original")
        except (NotFound, DecryptionFailed, ValueError) as error:
            log.info("snapshot.left_out", document_id=row.id, error=getattr(error, "code", type(error).__name__))
            return None
        vectors = await self._vectors(generation, chunks)
        said = row.model_dump(include=set(_FIELDS))
        if row.revision != row.indexed_revision:
            said["pipeline"] = ""  # the original is of newer content, which is still to be read

        def put() -> None:
            archive.writestr(f"{place}/text", text)
            archive.writestr(f"{place}/chunks", packed)
            if vectors is not None:
                content = io.BytesIO()
                np.save(content, vectors, allow_pickle=False)
                archive.writestr(f"{place}/vectors.npy", content.getvalue(), compress_type=zipfile.ZIP_STORED)
            archive.writestr(f"{place}/document.json", orjson.dumps(said))  # last: with it the document is whole

        await asyncio.to_thread(put)
        return len(chunks)

    async def _vectors(self, generation: Generation, chunks: Sequence[Chunk]) -> Vectors | None:
        """None where the store has not all of them: they are embedded when they come back."""
        store = self._indexer.generations.store(generation)
        if not chunks or not isinstance(store, KeepsVectors):
            return None
        known: dict[str, Any] = {}
        ids = [chunk.id for chunk in chunks]
        for first in range(0, len(ids), _CHUNKS):
            known.update(await asyncio.to_thread(store.vectors, generation.shelf, ids[first : first + _CHUNKS]))
        return np.stack([known[one] for one in ids]).astype(np.float32) if known.keys() >= set(ids) else None


class SnapshotReader:
    """Brings a snapshot's documents into a collection. May be repeated: what is there already is left as it is."""

    def __init__(self, database: Database, indexer: Indexer, collection: Collection) -> None:
        self._database, self._indexer, self._collection = database, indexer, collection
        self._files, self._shelf = indexer.resources.files, Shelf.of(collection)

    async def read(self, path: Path, told: Told) -> int:
        """How many documents it has.

        Raises:
            InvalidRequest: `snapshot_unreadable`: it is none, or of a newer form.
            NotFound: `collection_not_found`: the collection was deleted meanwhile.
            GenerationChanged: the collection was moved meanwhile: read it again.
        """
        with zipfile.ZipFile(path) as archive:
            manifest = manifest_of(archive)
            names = list(_documents(archive))
            for first in range(0, len(names), _TOGETHER):
                some = names[first : first + _TOGETHER]
                await self._bring(archive, some, manifest)
                await told(first + len(some))
        return len(names)

    async def _bring(self, archive: zipfile.ZipFile, names: Sequence[str], manifest: dict[str, Any]) -> None:
        """Bring in those of these documents that are not there yet, searchable all at once."""
        ids = {self._new_id(old): old for old in names}
        async with self._database.session(self._shelf.tenant) as session:
            there = set((await session.exec(select(Document.id).where(col(Document.id).in_(sorted(ids))))).all())
        generation = await self._indexer.generations.current(self._shelf)
        rows: list[Document] = []
        chunks: list[Chunk] = []
        matrices: list[Vectors] = []
        for document_id, old in ids.items():
            if document_id in there:
                continue
            row, own, vectors = await asyncio.to_thread(self._read, archive, old, document_id)
            row.pipeline = self._pipeline(generation, manifest, row.pipeline)
            await self._store_files(archive, old, row, own)
            if own:
                same = manifest["model"] == generation.model
                matrices.append(vectors if same and vectors is not None else await self._indexer.embed(generation, own))
            rows.append(row)
            chunks += own
        matrix = np.concatenate(matrices) if matrices else np.empty((0, 0), dtype=np.float32)
        for first in range(0, len(chunks), _CHUNKS):
            await self._indexer.put(generation, chunks[first : first + _CHUNKS], matrix[first : first + _CHUNKS])
        await self._add(rows, generation)  # word indexes follow their numbers, many documents at a time

    def _new_id(self, old: str) -> str:
        return "doc_" + hashlib.sha256(f"{self._collection.id}\0{old}".encode()).hexdigest()[:32]

    async def _store_files(self, archive: zipfile.ZipFile, old: str, row: Document, chunks: Sequence[Chunk]) -> None:
        place = f"{row.collection_id}/{row.id}"
        row.file_key, row.text_key = f"{place}/original", f"{place}/{_REVISION}/text"
        row.chunks_key, row.chunks_digest = f"{place}/{_REVISION}/chunks", chunk_ledger.digest(one.id for one in chunks)
        for name, key in (("original", row.file_key), ("text", row.text_key)):
            content = await asyncio.to_thread(archive.read, f"documents/{old}/{name}")
            await self._files.put(key, content, tenant=row.tenant)
        await self._files.put(row.chunks_key, await asyncio.to_thread(chunk_ledger.pack, chunks), tenant=row.tenant)

    def _read(self, archive: zipfile.ZipFile, old: str, document_id: str) -> tuple[Document, list[Chunk], Vectors | None]:
        place = f"documents/{old}"
        said = orjson.loads(archive.read(f"{place}/document.json"))
        text = archive.read(f"{place}/text").decode()
        listed = chunk_ledger.unpack(archive.read(f"{place}/chunks"), text, document_id=document_id, name=said["name"])
        chunks = [replace(one, id=chunk_id(document_id, _REVISION, one.start, one.end), revision=_REVISION) for one in listed]
        vectors = None
        if f"{place}/vectors.npy" in archive.NameToInfo:
            vectors = np.load(io.BytesIO(archive.read(f"{place}/vectors.npy")), allow_pickle=False)
        row = Document(
            id=document_id,
            tenant=self._collection.tenant,
            collection_id=self._collection.id,
            state=DocumentState.READY,
            revision=_REVISION,
            indexed_revision=_REVISION,
            chunks=len(chunks),
            **{name: said[name] for name in _FIELDS},
        )
        return row, chunks, vectors

    def _pipeline(self, generation: Generation, manifest: dict[str, Any], pipeline: str) -> str:
        """That of the collection, where reading the original here would give these chunks; else none, so that it is read anew
        when it is added again."""
        as_there = replace(generation, origin=tuple(manifest["origin"]))
        if manifest["pipeline"] == pipeline == self._indexer.pipeline_fingerprint(as_there):
            return self._indexer.pipeline_fingerprint(generation)
        return ""

    async def _add(self, rows: Sequence[Document], generation: Generation) -> None:
        async with self._database.transaction(self._shelf.tenant) as session:
            collection = await session.get(Collection, self._shelf.collection_id)
            if collection is None or collection.deleted_at is not None:
                raise NotFound("The collection was deleted.", code="collection_not_found")
            session.add_all(rows)
            await session.flush()
            for row in rows:
                await note_change(session, row)
            if rows and not await is_active(session, self._shelf.collection_id, generation.id):
                raise GenerationChanged


def manifest_of(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Raises InvalidRequest (`snapshot_unreadable`)."""
    try:
        manifest: dict[str, Any] = orjson.loads(archive.read("manifest.json"))
    except (KeyError, orjson.JSONDecodeError) as error:
        raise InvalidRequest("This is no snapshot of a collection.", code="snapshot_unreadable") from error
    if manifest.get("form") != FORM:
        raise InvalidRequest("This snapshot is of another version of the platform.", code="snapshot_unreadable")
    return manifest


def _documents(archive: zipfile.ZipFile) -> Iterator[str]:
    for name in archive.namelist():
        if name.startswith("documents/") and name.endswith("/document.json"):
            yield name.split("/")[1]
