"""What a store has silently lost is found and put right; what is changing meanwhile is left alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlmodel import col, select, update

from core.database import utc_now
from core.principals import SYSTEM
from core.tables import AuditEvent, CollectionUpkeep, Document, Job, Tenant
from jobs.ingestion import ingest_document
from jobs.reconciliation import reconcile_collection
from jobs.sweeper import Sweeper
from retrievers.base import Chunk, Shelf
from retrievers.upkeep import QUEUE, Upkeep
from tests.desks import Desk, note

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
LONG = "\n\n".join(f"Paragraph {number} tells of pump {number} and of its {number} valves in the hall." for number in range(60))


async def brought(desk: Desk, *items: Any) -> Shelf:
    """A collection with these documents, ready as by a worker."""
    job, _ = await desk.add(*items)
    for _ in items:
        await ingest_document(desk.context, "any", 1)
    assert (await desk.job(job.id)).state == "succeeded"
    return Shelf.of(await desk.collection())


async def reconciled(desk: Desk) -> Job:
    """A reconciliation that was asked for, at its end."""
    collection = await desk.collection()
    job = await Upkeep(desk.database, lease_s=30).ask(SYSTEM, collection)
    await reconcile_collection(desk.context, collection.id)
    return await desk.job(job.id)


async def close_tenant(desk: Desk, tenant: str, at: datetime | None) -> None:
    async with desk.database.transaction(all_tenants=True) as session:
        row = await session.get(Tenant, tenant) or Tenant(id=tenant, name="x")
        row.disabled_at = at
        session.add(row)


def stored(desk: Desk, shelf: Shelf) -> list[Chunk]:
    return desk.resources.store.scan(shelf, "", 10_000)[0]


def lose(desk: Desk, shelf: Shelf, ids: Sequence[str]) -> None:
    """As a store does silently."""
    client: Any = desk.resources.store._client  # type: ignore[attr-defined]  # Chroma's
    client.get_collection(shelf.collection_id, embedding_function=None).delete(ids=list(ids))


def put(desk: Desk, shelf: Shelf, *chunks: Chunk) -> None:
    size = desk.resources.store.scan(shelf, "", 1)[1].shape[1]
    desk.resources.store.upsert(shelf, chunks, np.eye(len(chunks), size, dtype=np.float32))


async def change(desk: Desk, name: str, **values: Any) -> None:
    async with desk.database.transaction(all_tenants=True) as session:
        await session.exec(update(Document).where(col(Document.name) == name).values(**values))


@ON_SQLITE
async def test_where_nothing_is_wrong_nothing_is_done(desk: Desk) -> None:
    shelf = await brought(desk, note("a.md", LONG), note("b.md"))
    chunks = len(stored(desk, shelf))
    job = await reconciled(desk)
    assert (job.state, job.done, job.total, job.errors) == ("succeeded", 2, 2, [])
    nothing = {"missing": 0, "orphans": 0}
    expected = {"documents": 2, "chunks": chunks, **nothing, "relisted": 0, "busy": 0, "unrepaired": 0, "word_index": nothing}
    assert job.result == expected


async def test_lost_chunks_are_there_again_as_they_were(desk: Desk) -> None:
    shelf = await brought(desk, note("a.md", LONG, year=2024), note("b.md"))
    before, (_, vectors) = stored(desk, shelf), desk.resources.store.scan(shelf, "", 10_000)
    assert len(before) > 4
    lose(desk, shelf, [before[1].id, before[3].id])
    job = await reconciled(desk)
    assert job.result is not None
    assert (job.result["missing"], job.result["orphans"], job.result["unrepaired"]) == (2, 0, 0)
    after = desk.resources.store.scan(shelf, "", 10_000)
    assert after[0] == before
    assert np.allclose(after[1], vectors, atol=1e-5)
    assert {row.lease for row in (await desk.documents()).values()} == {None}


@ON_SQLITE
async def test_a_store_that_has_lost_everything_is_filled_again(desk: Desk) -> None:
    shelf = await brought(desk, note("a.md", LONG), note("b.md"))
    before = stored(desk, shelf)
    desk.resources.store.delete_collection(shelf)
    assert (await reconciled(desk)).result["missing"] == len(before)  # type: ignore[index]
    assert stored(desk, shelf) == before


@ON_SQLITE
async def test_chunks_of_no_document_and_of_other_revisions_go(desk: Desk) -> None:
    shelf = await brought(desk, note("a.md"), note("b.md"))
    first = stored(desk, shelf)[0]
    stranger = replace(first, id="chk_stranger", document_id="doc_gone")
    older = replace(first, id="chk_older", revision=7)
    beside = replace(first, id="chk_beside", start=1)
    put(desk, shelf, stranger, older, beside)
    job = await reconciled(desk)
    assert job.result is not None
    assert (job.result["orphans"], job.result["missing"]) == (3, 0)
    assert {chunk.id for chunk in stored(desk, shelf)} == {first.id, stored(desk, shelf)[1].id}
    assert len(stored(desk, shelf)) == 2


@ON_SQLITE
async def test_a_document_from_before_lists_were_kept_gets_one_from_its_original(desk: Desk) -> None:
    shelf = await brought(desk, note("a.md", LONG))
    before, row = stored(desk, shelf), (await desk.documents())["a.md"]
    await desk.resources.files.delete(row.chunks_key)
    await change(desk, "a.md", chunks_key="", chunks_digest="")
    lose(desk, shelf, [before[0].id])
    assert (await reconciled(desk)).result["relisted"] == 1  # type: ignore[index]
    listed = (await desk.documents())["a.md"]
    assert (listed.chunks_key, listed.chunks_digest, listed.chunks) == (row.chunks_key, row.chunks_digest, row.chunks)
    assert stored(desk, shelf) == before
    assert (await reconciled(desk)).result["relisted"] == 0  # type: ignore[index]


@ON_SQLITE
async def test_what_was_read_with_another_model_is_told_and_not_mixed(desk: Desk) -> None:
    shelf = await brought(desk, note("a.md", LONG))
    lost = stored(desk, shelf)[0]
    lose(desk, shelf, [lost.id])
    await change(desk, "a.md", pipeline="another")
    job = await reconciled(desk)
    assert [(error["document"], error["code"]) for error in job.errors] == [("a.md", "not_repaired")]
    assert lost.id not in {chunk.id for chunk in stored(desk, shelf)}


@ON_SQLITE
@pytest.mark.parametrize("what", ["read", "waits"])
async def test_a_document_that_is_being_read_is_left_alone(desk: Desk, what: str) -> None:
    shelf = await brought(desk, note("a.md", LONG))
    row, lost = (await desk.documents())["a.md"], stored(desk, shelf)[0]
    lose(desk, shelf, [lost.id])
    await desk.add(note("a.md", LONG + "more"))
    if what == "read":
        assert await desk.library.documents.leases.take(row.id, row.revision + 1) is not None
    job = await reconciled(desk)
    assert job.result is not None
    assert (job.result["busy"], job.result["missing"]) == (1, 0)
    assert lost.id not in {chunk.id for chunk in stored(desk, shelf)}


@ON_SQLITE
async def test_new_content_takes_the_document_from_who_repairs_it(desk: Desk) -> None:
    await brought(desk, note("a.md"))
    row, leases = (await desk.documents())["a.md"], desk.library.documents.leases
    lease = await leases.hold(row.id)
    assert lease is not None
    assert await leases.hold(row.id) is None
    assert await leases.renew_held(lease)
    await desk.add(note("a.md", "Something else."))
    assert not await leases.renew_held(lease)
    assert await leases.take(row.id, row.revision + 1) is None  # until it is let go


@ON_SQLITE
async def test_a_deleted_document_does_not_come_back_by_its_repair(desk: Desk) -> None:
    shelf = await brought(desk, note("a.md", LONG))
    row = (await desk.documents())["a.md"]
    lease = await desk.library.documents.leases.hold(row.id)
    assert lease is not None
    await desk.library.documents.delete(SYSTEM, await desk.collection(), row.id)
    chunks = await asyncio.to_thread(lambda: [replace(row, id="chk_late") for row in stored(desk, shelf)])
    assert chunks == []
    put_back = Chunk("chk_late", row.id, "a.md", 1, "late", 0, 4)
    desk.resources.store.upsert(shelf, [put_back], np.eye(1, 384, dtype=np.float32))
    await Sweeper(desk.context).take_back()
    await Sweeper(desk.context).sweep()
    assert stored(desk, shelf) == []


@ON_SQLITE
async def test_who_asks_while_one_has_not_ended_gets_the_same_job(desk: Desk) -> None:
    await brought(desk, note("a.md"))
    collection, upkeep = await desk.collection(), Upkeep(desk.database, lease_s=30)
    first = await upkeep.ask(SYSTEM, collection)
    assert (await upkeep.ask(SYSTEM, collection)).id == first.id
    asked = select(AuditEvent.object_id, AuditEvent.details).where(AuditEvent.action == "collection.reconciled")
    async with desk.database.session(all_tenants=True) as session:
        assert (await session.exec(asked)).all() == [(collection.id, {"job": first.id})]
    await reconcile_collection(desk.context, collection.id)
    assert (await upkeep.ask(SYSTEM, collection)).id != first.id


async def test_until_a_restored_collection_has_its_passages_again_that_is_told(desk: Desk) -> None:
    shelf = await brought(desk, note("a.md"), note("b.md"))
    collection, upkeep = await desk.collection(), Upkeep(desk.database, lease_s=30)
    lose(desk, shelf, [chunk.id for chunk in stored(desk, shelf)])
    assert not (await desk.library.searcher.find(shelf, "pump", limit=3)).degraded
    assert await desk.library.collections.pending(collection) == 0
    desk.resources.known.clear()
    await upkeep.ask(SYSTEM, collection, restored=True)
    assert (await desk.library.searcher.find(shelf, "pump", limit=3)).degraded
    assert await desk.library.collections.pending(collection) == 2
    await reconcile_collection(desk.context, collection.id)
    desk.resources.known.clear()
    assert not (await desk.library.searcher.find(shelf, "pump", limit=3)).degraded
    assert await desk.library.collections.pending(collection) == 0
    assert len(stored(desk, shelf)) == 2


async def test_what_was_asked_for_first_is_reconciled_first(desk: Desk) -> None:
    await brought(desk, note("a.md"))
    first, upkeep = await desk.collection(), Upkeep(desk.database, lease_s=30)
    second = await desk.library.collections.create(SYSTEM, "second")
    for collection in (second, first):
        await upkeep.ask(SYSTEM, collection)
    assert await upkeep.due(every_s=0, limit=5) == [second.id, first.id]


async def test_a_collection_that_is_deleted_ends_what_reconciles_it(desk: Desk) -> None:
    await brought(desk, note("a.md"))
    collection = await desk.collection()
    job = await Upkeep(desk.database, lease_s=30).ask(SYSTEM, collection)
    await desk.library.collections.delete(SYSTEM, collection.name)
    assert (await desk.job(job.id)).state == "cancelled"
    await reconcile_collection(desk.context, collection.id)


async def test_each_collection_has_its_time_and_one_worker(desk: Desk) -> None:
    shelf = await brought(desk, note("a.md"))
    upkeep = Upkeep(desk.database, lease_s=30)
    day_s = timedelta(days=1).total_seconds()
    assert await upkeep.due(every_s=day_s, limit=5) == []
    async with desk.database.transaction(all_tenants=True) as session:
        await session.exec(update(CollectionUpkeep).values(reconciled_at=datetime(2020, 1, 1, tzinfo=UTC)))
    assert await upkeep.due(every_s=0, limit=5) == []
    assert await upkeep.due(every_s=day_s, limit=5) == [shelf.collection_id]
    for closed_at in (utc_now(), None):
        await close_tenant(desk, shelf.tenant, closed_at)
        lease = await upkeep.take(shelf.collection_id, every_s=day_s)
        due = await upkeep.due(every_s=day_s, limit=5)
        assert (lease is None, due) == (closed_at is not None, [])
    assert lease is not None
    assert lease.job is None
    assert await upkeep.take(shelf.collection_id, every_s=day_s) is None
    assert await upkeep.due(every_s=day_s, limit=5) == []
    await upkeep.release(lease)
    await Sweeper(desk.context).sweep()
    assert await desk.queue.waiting(QUEUE) == 1
    await reconcile_collection(desk.context, shelf.collection_id)
    async with desk.database.session(all_tenants=True) as session:
        row = await session.get_one(CollectionUpkeep, shelf.collection_id)
    assert utc_now() - row.reconciled_at < timedelta(minutes=5)
    assert row.lease is None
