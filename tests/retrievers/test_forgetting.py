"""After a document is deleted its words leave the index's files, with the chunks of the others as the store has them."""

import asyncio

import pytest

from core.principals import SYSTEM
from jobs.ingestion import ingest_document
from retrievers.base import Shelf
from tests.desks import Desk, note
from tests.desks import desk as desk  # the fixtures
from tests.desks import job_settings as job_settings
from tests.desks import models as models

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


async def brought(desk: Desk) -> Shelf:
    """Two documents whose words lie in one segment."""
    job, _ = await desk.add(note("a.md", "The zeppelin lands."), note("b.md", "The ferry leaves.", year=2024))
    for _ in range(2):
        await ingest_document(desk.context, "any", 1)
    assert (await desk.job(job.id)).state == "succeeded"
    shelf = Shelf.of(await desk.collection())
    lexical, chunks = desk.resources.lexical, desk.resources.store.scan(shelf, "", 10)[0]
    lexical.delete_collection(shelf)
    lexical.upsert(shelf, chunks)
    return shelf


async def delete(desk: Desk, name: str) -> None:
    document = (await desk.documents())[name]
    await desk.library.documents.delete(SYSTEM, await desk.collection(), document.id)


@ON_SQLITE
async def test_one_look_is_enough(desk: Desk) -> None:
    shelf, lexical = await brought(desk), desk.resources.lexical
    await delete(desk, "a.md")
    assert await asyncio.to_thread(lexical.remains, shelf) == 1  # type: ignore[union-attr]
    await desk.library.forgetting.look()
    assert await asyncio.to_thread(lexical.remains, shelf) == 0  # type: ignore[union-attr]
    assert await desk.found("ferry") == ["b.md"]
    assert lexical.has_attribute(shelf, "year")


@ON_SQLITE
async def test_a_store_that_has_lost_a_chunk_loses_the_index_nothing(desk: Desk) -> None:
    shelf, lexical = await brought(desk), desk.resources.lexical
    await delete(desk, "a.md")
    desk.resources.store.delete_collection(shelf)
    assert not await desk.library.forgetting.forget(shelf)
    assert [one for one, _ in lexical.search(shelf, "ferry", 5)]
