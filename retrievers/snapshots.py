"""A snapshot of a collection: one ZIP with its documents, their texts, lists of chunks and vectors, and back into a new one.

`manifest.json` says which form it has and by which model its vectors are. `documents/ID/` holds `document.json`, `original`,
`text`, `chunks` (as `retrievers.chunk_ledger` has it) and, where the store gives them, `vectors.npy`: (n_chunks, dimension)
float32, in the list's order.
"""

import asyncio
import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
import structlog
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, or_, select

from core.database import Database
from core.errors import DecryptionFailed, InvalidRequest, NotFound
from core.tables import Collection, Document, DocumentState
from core.threads import run_to_end
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
#: Times too, by which a document's age is told. Snapshots of before have none.
_TIMES = ("created_at", "updated_at", "content_at")
#: Documents that come back together at most, and chunks from which on no further document is added to them.
_TOGETHER, _CHUNKS_TOGETHER = 32, 5000
_ROWS, _CHUNKS = 200, 256
_REVISION = 1
#: How often a name may be taken by somebody else in the moment in which documents come back.
_TRIES = 5

#: Told after each document how many there were so far.
Told = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Counts:
    """`left_out`: documents that are not searchable, or whose files were gone."""

    documents: int
    chunks: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Restored:
    """How many of the snapshot's documents are there, and the names of those that were left out, since another document of the
    collection has theirs."""

    documents: int
    taken: tuple[str, ...]


class SnapshotWriter:
    """Of one collection as it is while it is written; documents that come or go meanwhile may be in it or not."""

    def __init__(self, database: Database, indexer: Indexer, collection: Collection) -> None:
        self._database, self._indexer, self._collection = database, indexer, collection
        self._files = indexer.resources.files

    async def write(self, path: Path, told: Told) -> Counts:
        """Write it to a local file."""
        generation = await self._indexer.generations.current(Shelf.of(self._collection))
        documents = chunks = left_out = 0
        async with _opened(path, "w") as archive:
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
            await run_to_end(archive.writestr, "manifest.json", orjson.dumps(about, option=orjson.OPT_INDENT_2))
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
                await run_to_end(archive.write, original, f"{place}/original")
        except (NotFound, DecryptionFailed, ValueError) as error:
            log.info("snapshot.left_out", document_id=row.id, error=getattr(error, "code", type(error).__name__))
            return None
        vectors = await self._vectors(generation, chunks)
        said = row.model_dump(include={*_FIELDS, *_TIMES})
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

        await run_to_end(put)
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

    async def read(self, path: Path, told: Told) -> Restored:
        """Bring in all that it has.

        Raises:
            InvalidRequest: `snapshot_unreadable`: it is none, or of a newer form.
            NotFound: `collection_not_found`: the collection was deleted meanwhile.
            GenerationChanged: the collection was moved meanwhile: read it again.
        """
        async with _opened(path, "r") as archive:
            manifest = await asyncio.to_thread(manifest_of, archive)
            names = await asyncio.to_thread(lambda: list(_documents(archive)))
            taken: list[str] = []
            done = 0
            while done < len(names):
                number, left_out = await self._bring(archive, names[done : done + _TOGETHER], manifest)
                done += number
                taken += left_out
                await told(done)
        return Restored(len(names) - len(taken), tuple(taken))

    async def _bring(self, archive: zipfile.ZipFile, names: Sequence[str], manifest: dict[str, Any]) -> tuple[int, list[str]]:
        """Bring in the first of these documents, as many as come back together: how many are done with, and the names of those
        among them that were left out."""
        tries = 0
        while True:
            try:
                return await self._bring_some(archive, names, manifest)
            except IntegrityError:  # somebody else has brought in a document of such a name meanwhile
                tries += 1
                if tries == _TRIES:
                    raise

    async def _bring_some(
        self, archive: zipfile.ZipFile, names: Sequence[str], manifest: dict[str, Any]
    ) -> tuple[int, list[str]]:
        """Those that are not there yet are searchable all at once."""
        said = await asyncio.to_thread(lambda: {old: _said(archive, old) for old in names})
        ids = {self._new_id(old): old for old in names}
        there, taken = await self._known(ids, {one["name"] for one in said.values()})
        generation = await self._indexer.generations.current(self._shelf)
        rows: list[Document] = []
        chunks: list[Chunk] = []
        matrices: list[Vectors] = []
        left_out: list[str] = []
        done = 0
        for document_id, old in ids.items():
            if len(chunks) >= _CHUNKS_TOGETHER:
                break
            done += 1
            if document_id in there:
                continue
            name = said[old]["name"]
            if name in taken:
                await self._leave_out(generation, document_id)
                left_out.append(name)
                continue
            taken.add(name)
            row, own, vectors = await asyncio.to_thread(self._read, archive, old, document_id, said[old])
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
        written = [row.id for row in rows]
        try:
            await self._add(rows, generation)  # word indexes follow their numbers, many documents at a time
        except GenerationChanged:
            for document_id in written:
                await self._indexer.withdraw(generation, document_id)
            raise
        return done, left_out

    async def _known(self, ids: Mapping[str, str], names: set[str]) -> tuple[set[str], set[str]]:
        """Which of the documents are there, and which of the names a document has: of one that is not there it is another's."""
        any_of_them = or_(col(Document.id).in_(list(ids)), col(Document.name).in_(names))
        mine = (Document.collection_id == self._shelf.collection_id, any_of_them)
        async with self._database.session(self._shelf.tenant) as session:
            found = (await session.exec(select(Document.id, Document.name).where(*mine))).all()
        return {one for one, _ in found if one in ids}, {name for _, name in found}

    async def _leave_out(self, generation: Generation, document_id: str) -> None:
        """Nothing is left of it either that a try has written which was cut short, or in which another was quicker."""
        log.info("snapshot.name_taken", document_id=document_id)
        await self._indexer.withdraw(generation, document_id)
        await self._files.delete_prefix(f"{self._shelf.collection_id}/{document_id}")

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

    def _read(
        self, archive: zipfile.ZipFile, old: str, document_id: str, said: dict[str, Any]
    ) -> tuple[Document, list[Chunk], Vectors | None]:
        place = f"documents/{old}"
        text = archive.read(f"{place}/text").decode()
        listed = chunk_ledger.unpack(archive.read(f"{place}/chunks"), text, document_id=document_id, name=said["name"])
        chunks = [replace(one, id=chunk_id(document_id, _REVISION, one.start, one.end), revision=_REVISION) for one in listed]
        vectors = None
        if f"{place}/vectors.npy" in archive.NameToInfo:
            vectors = np.load(io.BytesIO(archive.read(f"{place}/vectors.npy")), allow_pickle=False)
        times: dict[str, Any] = {name: datetime.fromisoformat(said[name]) for name in _TIMES if said.get(name)}
        row = Document(
            id=document_id,
            tenant=self._collection.tenant,
            collection_id=self._collection.id,
            state=DocumentState.READY,
            revision=_REVISION,
            indexed_revision=_REVISION,
            chunks=len(chunks),
            **{name: said[name] for name in _FIELDS},
            **times,
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


@asynccontextmanager
async def _opened(path: Path, mode: Literal["r", "w"]) -> AsyncIterator[zipfile.ZipFile]:
    """The list of what is in it is long: it is read and written off the event loop."""
    archive = await asyncio.to_thread(zipfile.ZipFile, path, mode, zipfile.ZIP_DEFLATED)
    try:
        yield archive
    finally:
        await asyncio.to_thread(archive.close)


def _said(archive: zipfile.ZipFile, old: str) -> dict[str, Any]:
    """What a document's row was."""
    said: dict[str, Any] = orjson.loads(archive.read(f"documents/{old}/document.json"))
    return said


def _documents(archive: zipfile.ZipFile) -> Iterator[str]:
    for name in archive.namelist():
        if name.startswith("documents/") and name.endswith("/document.json"):
            yield name.split("/")[1]
