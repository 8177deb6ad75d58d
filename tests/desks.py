"""What ingestion tests stand on: a library with real stores, a real Valkey and real local models, on a migrated database."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.database import Database
from core.jobs import Jobs
from core.principals import SYSTEM
from core.queue import INGESTION, Queue
from core.settings import Settings
from core.tables import Collection, Document, Job, JobState
from core.valkey import EmbeddedValkey
from jobs.base import JobContext
from jobs.worker import EmbeddedWorker
from providers.models import Models
from retrievers.base import Shelf
from retrievers.documents import NewDocument
from retrievers.library import Library, Resources, open_resources


async def eventually(holds: Callable[[], Awaitable[Any]], seconds: float = 60) -> Any:
    """What `holds` gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := await holds()):
        assert time.monotonic() < deadline, "the condition did not come to hold"
        await asyncio.sleep(0.02)
    return found


@dataclass
class Desk:
    settings: Settings
    redis_url: str
    resources: Resources
    database: Database
    queue: Queue
    library: Library

    @contextmanager
    def worker(self) -> Iterator[EmbeddedWorker]:
        worker = EmbeddedWorker(self.settings, self.redis_url, self.resources)
        worker.start()
        try:
            yield worker
        finally:
            worker.stop()

    @property
    def context(self) -> JobContext:
        return JobContext(self.settings, self.database, self.queue, self.library)

    async def collection(self, name: str = "papers") -> Collection:
        return await self.library.collections.ensure(SYSTEM, name)

    async def add(self, *items: NewDocument, collection: str = "papers") -> tuple[Job, list[Document]]:
        return await self.library.documents.add(SYSTEM, await self.collection(collection), items)

    async def job(self, job_id: str) -> Job:
        return await Jobs(self.database).get(SYSTEM, job_id)

    async def finished(self, job_id: str) -> Job:
        async def ended() -> Job | None:
            job = await self.job(job_id)
            return job if JobState(job.state).finished else None

        found: Job = await eventually(ended)
        return found

    async def documents(self, collection: str = "papers") -> dict[str, Document]:
        rows, _ = await self.library.documents.page(await self.collection(collection), limit=1000)
        return {row.name: row for row in rows}

    async def found(self, query: str, collection: str = "papers") -> list[str]:
        """The documents that a search gives."""
        shelf = Shelf.of(await self.collection(collection))
        passages = await self.library.searcher.search(shelf, query, limit=10)
        return [passage.chunk.document for passage in passages]

    async def messages(self) -> int:
        return await self.queue.waiting(INGESTION)

    async def stored_chunks(self, document: Document | None = None, collection: str = "papers") -> int:
        shelf = Shelf.of(await self.collection(collection))
        return self.resources.store.count(shelf, document.id if document else None)


def note(name: str, text: str = "", **attributes: str | int) -> NewDocument:
    return NewDocument(name, (text or f"The word of {name} is zebra.").encode(), attributes=attributes)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    opened = Models(Settings.load(data_dir=tmp_path_factory.mktemp("models")))
    yield opened
    asyncio.run(opened.close())


@pytest.fixture
def job_settings() -> dict[str, Any]:
    """Overridden by tests that need other times."""
    return {}


@asynccontextmanager
async def opened(settings: Settings, database: Database, models: Models) -> AsyncIterator[Desk]:
    """A desk on a data directory that no other process has open."""
    valkey = EmbeddedValkey(settings)
    redis_url = await asyncio.to_thread(valkey.start)
    resources = await asyncio.to_thread(open_resources, settings, models)
    queue = Queue(redis_url)
    try:
        yield Desk(settings, redis_url, resources, database, queue, Library.build(settings, database, resources, queue))
    finally:
        queue.close()
        await asyncio.to_thread(resources.close)
        await asyncio.to_thread(valkey.close)


@pytest.fixture
async def desk(database: Database, settings: Settings, models: Models, job_settings: dict[str, Any]) -> AsyncIterator[Desk]:
    url = database.engine.url.render_as_string(hide_password=False).replace("sqlite+aiosqlite", "sqlite")
    settings = Settings.load(data_dir=Path(settings.data_dir), database_url=url, jobs=job_settings)
    async with opened(settings, database, models) as ready:
        yield ready
