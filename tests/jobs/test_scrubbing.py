"""Of a document or collection that is deleted nothing stays in the files of the store, a while after."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select, update

from core.database import utc_now
from core.errors import Unavailable
from core.principals import SYSTEM
from core.tables import DepartedDocument
from jobs.ingestion import ingest_document
from jobs.scrubbing import Scrubbing
from tests.desks import Desk, note
from tests.server.erasing import below

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
CANARY = "zqcanary48151623"


async def brought(desk: Desk, collection: str = "papers") -> None:
    job, _ = await desk.add(note("a.md", f"The word is {CANARY}."), note("b.md"), collection=collection)
    for _ in range(2):
        await ingest_document(desk.context, "any", 1)
    assert (await desk.job(job.id)).state == "succeeded"
    assert CANARY.encode() in await vectors(desk), "what is looked for was there"


async def vectors(desk: Desk) -> bytes:
    return await asyncio.to_thread(below, Path(desk.settings.data_dir) / "chroma")


async def delete(desk: Desk) -> None:
    document = (await desk.documents())["a.md"]
    await desk.library.documents.delete(SYSTEM, await desk.collection(), document.id)


async def remains(desk: Desk) -> list[bool]:
    async with desk.database.session(all_tenants=True) as session:
        return list((await session.exec(select(DepartedDocument.remains))).all())


async def age(desk: Desk, days: float) -> None:
    async with desk.database.transaction(all_tenants=True) as session:
        await session.exec(update(DepartedDocument).values(departed_at=utc_now() - timedelta(days=days)))


@ON_SQLITE
async def test_a_day_after_a_document_is_deleted_the_store_has_nothing_of_it(desk: Desk) -> None:
    await brought(desk)
    await delete(desk)
    await Scrubbing(desk.context).apply_in_time()
    assert (await remains(desk), CANARY.encode() in await vectors(desk)) == ([True], True)
    await age(desk, 1.1)
    await Scrubbing(desk.context).apply_in_time()
    assert (await remains(desk), CANARY.encode() in await vectors(desk)) == ([False], False)
    assert await desk.found("zebra") == ["b.md"]


@ON_SQLITE
async def test_of_a_deleted_collection_nothing_stays_either(desk: Desk) -> None:
    await brought(desk)
    await desk.library.collections.delete(SYSTEM, "papers")
    for shelf in await desk.library.collections.deleted():
        assert await desk.library.collections.purge(shelf)
    await age(desk, 1.1)
    await Scrubbing(desk.context).apply_in_time()
    assert (await remains(desk), CANARY.encode() in await vectors(desk)) == ([False], False)


@ON_SQLITE
async def test_a_store_that_is_busy_is_tried_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await brought(desk)
    await delete(desk)
    await age(desk, 1.1)
    scrub: Any = desk.resources.store.scrub

    def busy() -> None:
        raise Unavailable("The vector store is busy.", code="store_unavailable")

    monkeypatch.setattr(desk.resources.store, "scrub", busy)
    scrubbing = Scrubbing(desk.context)
    await scrubbing.apply_in_time()
    assert await remains(desk) == [True]
    monkeypatch.setattr(desk.resources.store, "scrub", scrub)
    await scrubbing.apply_in_time()
    assert await remains(desk) == [True], "it rests"
    assert await scrubbing.apply() == 1
    assert await remains(desk) == [False]
