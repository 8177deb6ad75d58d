"""Word indexes of several servers: each in a data directory of its own, on one database, vector store and file store."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, update

from core.errors import Unavailable
from core.principals import SYSTEM
from core.settings import Settings
from core.tables import DepartedDocument, Document
from jobs.ingestion import ingest_document
from retrievers.base import Shelf
from retrievers.changes import compare_all, forget_departures
from retrievers.following import Following
from retrievers.lexical import LexicalIndex
from retrievers.library import Library
from retrievers.search import Searcher
from tests.desks import Desk, eventually, note
from tests.desks import desk as desk  # the fixtures
from tests.desks import job_settings as job_settings
from tests.desks import models as models

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class Shared:
    """The embedded store, as a store is that several processes have open."""

    shareable = True

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class NoFiles:
    """A file store that does not answer."""

    async def get(self, key: str, *, tenant: str) -> bytes:
        raise Unavailable("The file store does not answer.", code="files_unavailable")


def another(desk: Desk, directory: Path, *, searched: bool = True) -> Library:
    """A server beside, as it starts on that data directory."""
    settings = Settings.load(data_dir=directory)
    lexical = LexicalIndex(settings, makes=searched)
    resources = replace(desk.resources, lexical=lexical, store=Shared(desk.resources.store))
    following = Following(desk.database, resources, wait_s=60)
    library = Library.build(settings, desk.database, resources, desk.queue)
    return replace(library, following=following, searcher=Searcher(desk.database, resources, following))


@pytest.fixture
async def there(desk: Desk, tmp_path: Path) -> AsyncIterator[Library]:
    library = another(desk, tmp_path / "there")
    yield library
    await library.following.close()
    library.resources.lexical.close()


async def bring(desk: Desk, *items: Any) -> None:
    """What a worker does, without one."""
    job, _ = await desk.add(*items)
    for _ in items:
        await ingest_document(desk.context, "any", 1)
    assert (await desk.job(job.id)).state == "succeeded"


async def words(desk: Desk, library: Library, query: str) -> list[str]:
    """The documents that a server finds by their words."""
    shelf = Shelf.of(await desk.collection())
    return [one.chunk.document for one in await library.searcher.search(shelf, query, limit=10, mode="lexical")]


async def indexed(desk: Desk, library: Library, document: Document | None = None) -> int:
    shelf = Shelf.of(await desk.collection())
    return await asyncio.to_thread(library.resources.lexical.count, shelf, document and document.id)


async def delete(desk: Desk, name: str) -> None:
    document = (await desk.documents())[name]
    await desk.library.documents.delete(SYSTEM, await desk.collection(), document.id)


@ON_SQLITE
async def test_what_one_server_has_read_another_finds_by_its_words_at_once(desk: Desk, there: Library) -> None:
    await bring(desk, note("a.md", "The zeppelin lands at noon."), note("b.md", "The ferry leaves."))
    assert await words(desk, there, "zeppelin") == ["a.md"]
    await bring(desk, note("a.md", "The balloon lands at noon."))
    assert (await words(desk, there, "zeppelin"), await words(desk, there, "balloon")) == ([], ["a.md"])
    assert await indexed(desk, there) == await indexed(desk, desk.library) == 2


async def test_what_one_server_has_deleted_leaves_the_indexes_of_all(desk: Desk, there: Library) -> None:
    await bring(desk, note("a.md"), note("b.md"))
    assert len(await words(desk, there, "zebra")) == 2
    await delete(desk, "a.md")
    assert await words(desk, there, "zebra") == ["b.md"]
    assert await indexed(desk, there) == 1


@ON_SQLITE
async def test_a_server_that_was_down_has_caught_up_before_it_answers(desk: Desk, tmp_path: Path) -> None:
    before = another(desk, tmp_path / "down")
    await bring(desk, note("a.md"), note("b.md"))
    assert len(await words(desk, before, "zebra")) == 2
    before.resources.lexical.close()
    await delete(desk, "a.md")
    await bring(desk, note("c.md"))
    after = another(desk, tmp_path / "down")
    assert await indexed(desk, after) == 2
    assert sorted(await words(desk, after, "zebra")) == ["b.md", "c.md"]
    assert await indexed(desk, after) == 2
    after.resources.lexical.close()


async def test_a_server_looks_by_itself_and_drops_what_is_gone(desk: Desk, there: Library) -> None:
    """Nobody asks it anything."""
    following = asyncio.ensure_future(there.following.run())
    await bring(desk, note("a.md"))
    shelf = Shelf.of(await desk.collection())

    async def followed() -> bool:
        return there.resources.lexical.count(shelf) == 1 and not there.following.behind

    async def dropped() -> bool:
        return not there.resources.lexical.shelves()

    await eventually(followed)
    await desk.library.collections.delete(SYSTEM, "papers")
    await eventually(dropped)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


@ON_SQLITE
async def test_an_index_may_be_deleted_at_any_time(desk: Desk, there: Library) -> None:
    await bring(desk, note("a.md"))
    assert await words(desk, there, "zebra") == ["a.md"]
    shutil.rmtree(there.settings.path("lexical"))
    there.resources.lexical.standing(Shelf.of(await desk.collection()))
    assert await words(desk, there, "zebra") == ["a.md"]


async def test_one_that_stands_before_what_is_listed_is_compared_with_all_documents(desk: Desk, there: Library) -> None:
    await bring(desk, note("a.md"), note("b.md"))
    assert len(await words(desk, there, "zebra")) == 2
    await delete(desk, "a.md")
    async with desk.database.transaction(all_tenants=True) as session:
        await session.exec(update(DepartedDocument).values(departed_at=datetime(2020, 1, 1, tzinfo=UTC)))
    assert await forget_departures(desk.database) == 1
    assert await words(desk, there, "zebra") == ["b.md"]
    assert await indexed(desk, there) == 1


@ON_SQLITE
async def test_a_comparison_finds_what_an_index_has_lost_and_what_it_has_too_much(desk: Desk, there: Library) -> None:
    await bring(desk, note("a.md"), note("b.md"))
    assert len(await words(desk, there, "zebra")) == 2
    shelf, rows = Shelf.of(await desk.collection()), await desk.documents()
    lexical = there.resources.lexical
    lexical.delete_document(shelf, rows["a.md"].id)
    stranger = replace(desk.resources.store.scan(shelf, "", 1)[0][0], id="chk_x", document_id="doc_stranger")
    lexical.upsert(shelf, [stranger])
    async with desk.database.transaction(all_tenants=True) as session:
        await compare_all(session, shelf.collection_id)
    await there.following.catch_up(shelf)
    assert sorted(await words(desk, there, "zebra")) == ["a.md", "b.md"]
    assert lexical.count(shelf, "doc_stranger") == 0
    assert await there.following.compare(shelf) == {}


@ON_SQLITE
async def test_an_index_of_another_database_is_built_anew(desk: Desk, there: Library) -> None:
    await bring(desk, note("a.md"))
    shelf = Shelf.of(await desk.collection())
    lexical = there.resources.lexical
    stranger = replace(desk.resources.store.scan(shelf, "", 1)[0][0], id="chk_x", document_id="doc_stranger")
    lexical.bring(shelf, [stranger], without={}, to=replace(lexical.standing(shelf), number=1000))
    assert await words(desk, there, "zebra") == ["a.md"]
    assert lexical.count(shelf, "doc_stranger") == 0


@ON_SQLITE
async def test_a_search_is_by_meaning_alone_while_its_index_cannot_catch_up(desk: Desk, there: Library) -> None:
    await bring(desk, note("a.md", "The zeppelin lands at noon."))
    files = there.resources.files
    object.__setattr__(there.resources, "files", NoFiles())
    shelf = Shelf.of(await desk.collection())
    found = await there.searcher.find(shelf, "zeppelin", limit=5)
    assert ([one.chunk.document for one in found.passages], found.degraded, found.by_words) == (["a.md"], True, False)
    found = await there.searcher.find(shelf, "zeppelin", limit=5, mode="lexical")
    assert (found.passages, found.degraded) == ([], True)
    assert not (await there.searcher.find(shelf, "zeppelin", limit=5, mode="dense")).degraded
    object.__setattr__(there.resources, "files", files)
    found = await there.searcher.find(shelf, "zeppelin", limit=5)
    assert ([one.chunk.document for one in found.passages], found.degraded) == (["a.md"], False)


@ON_SQLITE
async def test_what_an_index_holds_already_is_not_read_again(desk: Desk) -> None:
    await bring(desk, note("a.md"), note("b.md"))
    object.__setattr__(desk.library.resources, "files", NoFiles())
    shelf = Shelf.of(await desk.collection())
    await desk.library.following.catch_up(shelf)
    assert desk.resources.lexical.standing(shelf).number == 2


@ON_SQLITE
async def test_a_worker_that_answers_no_searches_has_no_index_until_it_is_asked(desk: Desk, tmp_path: Path) -> None:
    worker = another(desk, tmp_path / "worker", searched=False)
    await bring(desk, note("a.md"))
    shelf = Shelf.of(await desk.collection())
    chunks, _ = desk.resources.store.scan(shelf, "", 1)
    worker.resources.lexical.upsert(shelf, chunks)
    assert worker.resources.lexical.shelves() == []
    assert await words(desk, worker, "zebra") == ["a.md"]
    worker.resources.lexical.upsert(shelf, chunks)
    assert worker.resources.lexical.count(shelf) == 1


@ON_SQLITE
async def test_a_document_without_its_list_of_chunks_keeps_no_other_waiting(desk: Desk, there: Library) -> None:
    await bring(desk, note("a.md"), note("b.md"))
    async with desk.database.transaction(all_tenants=True) as session:
        await session.exec(update(Document).where(col(Document.name) == "a.md").values(chunks_key="", chunks_digest=""))
    assert await words(desk, there, "zebra") == ["b.md"]
