"""The collection `handbook`: the platform's own documentation, so that RAG answers from the first start."""

import asyncio
import hashlib
from pathlib import Path

import structlog

from core.errors import Conflict
from core.principals import SYSTEM
from core.tables import Collection, Document, DocumentState, ShareAccess, ShareKind
from retrievers.base import Shelf
from retrievers.documents import NewDocument
from retrievers.generations import Generation
from retrievers.leases import PENDING
from retrievers.library import Library
from retrievers.relocation import Move, Relocation, Whereabouts
from retrievers.sharing import Share

log = structlog.get_logger()

NAME = "handbook"
#: Marks what was put there from here: what people add to the collection is left alone.
ORIGIN = {"origin": "handbook"}
#: The operator's own tenant reads it. Other tenants do not: what people add to it would be theirs to see.
FOR_ALL = Share(ShareKind.TENANT, "", ShareAccess.READ)
_ROOT = Path(__file__).parents[1]
_PATTERNS = ("README.md", "docs/**/*.md")
#: Why it was built so is asked in the repository, not of a running platform.
_LEFT_OUT = ("docs/adr/*",)


async def keep_handbook(library: Library, root: Path = _ROOT) -> None:
    """Make the collection hold the documentation below `root` as it is now: new and changed files are brought in by a job,
    removed ones deleted. Where its embedding model has changed it is moved to the new one first, and the files are looked at
    when it is kept next. Nothing happens where no documentation is installed. May be repeated."""
    files = await asyncio.to_thread(_read, root)
    if not files:
        return
    collection = await library.collections.ensure(
        SYSTEM, NAME, description="The documentation of this platform", shares=[FOR_ALL]
    )
    generation = await library.generations.current(Shelf.of(collection))
    if not library.resources.models.gives_vectors_of(generation.model, generation.embeddings):
        await _move(library, generation)
        return
    present = {document.name: document for document in await _all(library, collection)}
    pipeline = library.indexer.pipeline_fingerprint(generation)
    changed = [
        NewDocument(name, content, attributes=ORIGIN)
        for name, content in files.items()
        if content.strip() and not _is_current(present.get(name), content, pipeline)
    ]
    removed = [row for name, row in present.items() if name not in files and row.attributes == ORIGIN]
    if changed:
        await library.documents.add(SYSTEM, collection, changed)
    for row in removed:
        await library.documents.delete(SYSTEM, collection, row.id)
    log.info("handbook.kept", documents=len(files), changed=len(changed), removed=len(removed))


async def _move(library: Library, generation: Generation) -> None:
    """Nobody else would move what the platform has put there by itself."""
    relocation = Relocation(library.settings, library.database, library.resources, library.generations)
    try:
        job, _ = await relocation.ask(SYSTEM, Move(Whereabouts(None, generation.embeddings), names=(NAME,)))
    except Conflict:  # it is being moved already
        return
    log.info("handbook.moved", job_id=job.id)


def _is_current(row: Document | None, content: bytes, pipeline: str) -> bool:
    if row is None or row.content_hash != hashlib.sha256(content).hexdigest():
        return False
    return row.state in PENDING or (row.state == DocumentState.READY and row.pipeline == pipeline)


def _read(root: Path) -> dict[str, bytes]:
    found = {path for pattern in _PATTERNS for path in root.glob(pattern) if path.is_file()}
    found -= {path for pattern in _LEFT_OUT for path in root.glob(pattern)}
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(found)}


async def _all(library: Library, collection: Collection) -> list[Document]:
    rows: list[Document] = []
    after: str | None = None
    while True:
        found, after = await library.documents.page(collection, limit=200, after=after)
        rows += found
        if after is None:
            return rows
