"""Documents brought in by a real worker: outcomes, replacement, cancellation, retries."""

import asyncio
import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from redis import Redis
from sqlmodel import col, delete, update

from core.database import utc_now
from core.errors import Conflict, NotFound
from core.jobs import Jobs
from core.kill_switches.store import KillSwitchStore
from core.principals import ROLE_SCOPES, SYSTEM, Principal, Role
from core.queue import INGESTION, Queue
from core.tables import CollectionShare, Document, DocumentState, KillKind, ShareAccess, ShareKind, User
from jobs import ingestion
from jobs.alive import LeaseLost, kept_alive
from jobs.ingestion import ingest_document, let_go
from retrievers.base import Shelf
from retrievers.documents import NewDocument
from retrievers.holds import of_job
from retrievers.indexing import IndexedDocument
from retrievers.leases import Lease
from retrievers.library import Library
from tests.desks import Desk, eventually, note
from tests.providers.bookkeeping import Book
from tests.providers.conftest import book as book  # the fixture


async def test_documents_are_ready_and_found_when_their_job_has_succeeded(desk: Desk, book: Book) -> None:
    with desk.worker():
        job, documents = await desk.add(note("b.md", "Puffins nest on the cliff."), note("a.md", "Seals rest on the beach."))
        assert [document.name for document in documents] == ["b.md", "a.md"]
        job = await desk.finished(job.id)
    assert (job.state, job.done, job.total, job.errors) == ("succeeded", 2, 2, [])
    assert (await desk.found("Where do puffins nest?"))[0] == "b.md"
    rows = await desk.documents()
    assert {row.state for row in rows.values()} == {DocumentState.READY}
    assert {row.lease for row in rows.values()} == {None}
    text = await desk.library.documents.text(SYSTEM, await desk.collection(), rows["a.md"].id)
    assert text == "Seals rest on the beach."
    embedded = [entry for entry in book.entries if entry.capability == INGESTION]
    assert {(entry.request_id, entry.tenant, entry.principal) for entry in embedded} == {(job.id, SYSTEM.tenant, SYSTEM.id)}
    assert [entry.status for entry in embedded] == ["ok", "ok"]
    assert all(entry.tokens.input > 4 for entry in embedded)


async def test_a_document_that_cannot_be_read_fails_with_its_reason_and_the_others_go_on(desk: Desk) -> None:
    items = [note("good.md"), NewDocument("empty.txt", b""), NewDocument("noise.bin", bytes(range(256)) * 8)]
    with desk.worker():
        job = await desk.finished((await desk.add(*items))[0].id)
    assert (job.state, job.done, job.failed) == ("succeeded", 3, 2)
    assert {error["document"]: error["code"] for error in job.errors} == {
        "empty.txt": "empty_file",
        "noise.bin": "unsupported_file_type",
    }
    failed = (await desk.documents())["empty.txt"]
    assert (failed.state, failed.error_code, failed.attempts) == ("failed", "empty_file", 1)


async def test_a_url_that_may_not_be_fetched_fails_its_document_alone(desk: Desk) -> None:
    items = [note("good.md"), NewDocument("inside.html", url="http://127.0.0.1:9/"), NewDocument("meta", url="http://[::1]/x")]
    with desk.worker():
        job = await desk.finished((await desk.add(*items))[0].id)
    assert {error["document"]: error["code"] for error in job.errors} == {"inside.html": "url_refused", "meta": "url_refused"}
    row = (await desk.documents())["inside.html"]
    assert (row.source_url, row.file_key, row.content_hash) == ("http://127.0.0.1:9/", "", "")


async def test_a_document_fails_honestly_while_its_embedding_model_is_switched_off(desk: Desk) -> None:
    switches, kills = KillSwitchStore(desk.database), desk.resources.models.kills
    await switches.put(SYSTEM, KillKind.PROVIDER, "local", reason="It drifts.")
    try:
        with desk.worker():
            job = await desk.finished((await desk.add(note("a.md")))[0].id)
        assert (job.state, [error["code"] for error in job.errors]) == ("failed", ["killed"])
        await switches.lift(SYSTEM, KillKind.PROVIDER, "local")
        with desk.worker():
            job = await desk.finished((await desk.add(note("a.md")))[0].id)
        assert (job.state, job.errors) == ("succeeded", [])
    finally:
        kills.set([])


async def test_a_job_whose_every_document_failed_has_failed(desk: Desk) -> None:
    with desk.worker():
        job = await desk.finished((await desk.add(NewDocument("noise.bin", bytes(range(256)) * 8)))[0].id)
    assert (job.state, job.done, job.total) == ("failed", 1, 1)


async def test_events_are_numbered_without_a_gap_and_end_with_the_whole_job(desk: Desk) -> None:
    with desk.worker():
        job, _ = await desk.add(*(note(f"{number}.md") for number in range(6)))
        await desk.finished(job.id)
    events = await Jobs(desk.database).events(job, 0)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    done = [event.data["done"] for event in events]
    assert done == sorted(done)
    assert {event.data["document"]["name"] for event in events if "document" in event.data} == {
        f"{number}.md" for number in range(6)
    }
    assert (events[-1].event, events[-1].data["job"]["state"]) == ("done", "succeeded")
    assert [event.event for event in events].count("done") == 1
    assert [event.number for event in await Jobs(desk.database).events(job, 4)] == list(range(5, len(events) + 1))


async def test_unchanged_documents_are_counted_as_done_at_once(desk: Desk) -> None:
    with desk.worker():
        await desk.finished((await desk.add(note("a.md"), note("b.md")))[0].id)
    before = await desk.documents()
    job, documents = await desk.add(note("a.md"), note("b.md"))
    assert (job.state, job.done, job.total, job.skipped) == ("succeeded", 2, 2, 2)
    assert [document.id for document in documents] == [before["a.md"].id, before["b.md"].id]
    assert await desk.documents() == before
    assert await desk.messages() == 0
    mixed, _ = await desk.add(note("a.md"), note("b.md", "Something else."), note("c.md"))
    assert (mixed.state, mixed.done, mixed.total, mixed.skipped) == ("queued", 1, 3, 1)
    with desk.worker():
        assert (await desk.finished(mixed.id)).skipped == 1


async def test_changed_content_replaces_the_old_everywhere(desk: Desk) -> None:
    with desk.worker():
        _, (document,) = await desk.add(note("keeper.md", "The lighthouse keeper is called Marit."))
        await eventually(lambda: ready(desk, "keeper.md", 1))
        before = (await desk.documents())["keeper.md"]
        job, (again,) = await desk.add(note("keeper.md", "The lighthouse keeper is called Jorunn."))
        await desk.finished(job.id)
    now = (await desk.documents())["keeper.md"]
    assert (again.id, now.id, now.revision, now.indexed_revision) == (document.id, document.id, 2, 2)
    assert await desk.stored_chunks(now) == now.chunks == 1
    for mode in ("dense", "lexical", "hybrid"):
        passages = await desk.library.searcher.search(
            Shelf.of(now),
            "lighthouse keeper Marit",
            limit=10,
            mode=mode,  # type: ignore[arg-type]
        )
        assert ["Jorunn" in passage.chunk.text for passage in passages] == [True]
    assert not await desk.resources.files.exists(before.text_key)
    assert not await desk.resources.files.exists(before.file_key)


async def test_other_metadata_counts_as_a_change(desk: Desk) -> None:
    with desk.worker():
        await desk.finished((await desk.add(note("a.md", year=2023)))[0].id)
        await desk.finished((await desk.add(note("a.md", year=2024)))[0].id)
    collection = await desk.collection()
    assert await desk.library.searcher.search(Shelf.of(collection), "zebra", limit=5, filter={"year": 2023}) == []
    assert len(await desk.library.searcher.search(Shelf.of(collection), "zebra", limit=5, filter={"year": 2024})) == 1


async def test_when_content_came_in_is_told_by_content_alone(desk: Desk) -> None:
    with desk.worker():
        await desk.finished((await desk.add(note("a.md")))[0].id)
        first = (await desk.documents())["a.md"]
        async with desk.database.transaction(all_tenants=True) as session:
            await session.exec(update(Document).values(pipeline="of before"))
        await desk.finished((await desk.library.rereading.begin(SYSTEM, await desk.collection())).id)
        await desk.finished((await desk.add(note("a.md", year=2024)))[0].id)
        again = (await desk.documents())["a.md"]
        assert (again.revision, again.content_at) == (3, first.content_at)
        assert again.updated_at > first.updated_at
        await desk.finished((await desk.add(note("a.md", "Something else.")))[0].id)
    last = (await desk.documents())["a.md"]
    assert first.content_at is not None
    assert last.content_at is not None
    assert last.content_at > first.content_at


async def test_a_page_that_is_fetched_unchanged_is_no_newer(desk: Desk) -> None:
    page = NewDocument("page", url="http://127.0.0.1:9/")
    _, (document,) = await desk.add(page)
    for content, newer in (("a", True), ("a", False), ("b", True)):
        lease = await desk.library.documents.leases.take(document.id, document.revision)
        assert lease is not None
        before = lease.document.content_at
        assert await desk.library.documents.leases.fetched(lease, file_key="", content_hash=content, size=1)
        assert (lease.document.content_at != before) is newer
        await desk.library.documents.leases.fail(lease, "fetch_failed", "It did not answer.")
        await desk.library.documents.leases.release(lease)
        _, (document,) = await desk.add(page)  # with an error, whatever is fetched is read again
        assert (document.pipeline, document.content_hash) == ("", content)


async def test_what_was_there_stays_searchable_when_its_new_content_cannot_be_read(desk: Desk) -> None:
    with desk.worker():
        await desk.finished((await desk.add(note("a.md", "Seals rest on the beach.")))[0].id)
        job = await desk.finished((await desk.add(NewDocument("a.md", bytes(range(256)) * 8)))[0].id)
    assert job.state == "failed"
    row = (await desk.documents())["a.md"]
    assert (row.state, row.revision, row.indexed_revision) == ("failed", 2, 1)
    assert await desk.found("seals") == ["a.md"]
    assert await desk.library.documents.text(SYSTEM, await desk.collection(), row.id) == "Seals rest on the beach."


async def test_the_same_content_again_tries_a_failed_document_again(desk: Desk) -> None:
    noise = NewDocument("noise.bin", bytes(range(256)) * 8)
    with desk.worker():
        await desk.finished((await desk.add(noise))[0].id)
        job = await desk.finished((await desk.add(noise))[0].id)
    assert job.state == "failed"
    assert (await desk.documents())["noise.bin"].revision == 2


async def test_content_on_its_way_is_read_once_and_ends_both_jobs(desk: Desk) -> None:
    first, _ = await desk.add(note("a.md"), note("b.md"))
    second, _ = await desk.add(note("a.md"))
    with desk.worker():
        ended = [await desk.finished(first.id), await desk.finished(second.id)]
    assert [(job.state, job.done, job.total) for job in ended] == [("succeeded", 2, 2), ("succeeded", 1, 1)]
    assert (await desk.documents())["a.md"].revision == 1


async def test_uploads_of_one_name_at_once_leave_one_document(desk: Desk) -> None:
    with desk.worker():
        accepted = await asyncio.gather(*(desk.add(note("a.md", f"The number is {number}.")) for number in range(8)))
        for job, _ in accepted:
            await desk.finished(job.id)
        await eventually(lambda: ready(desk, "a.md"))
    rows = await desk.documents()
    assert list(rows) == ["a.md"]
    assert {document.id for _, (document,) in accepted} == {rows["a.md"].id}
    assert await desk.stored_chunks() == 1
    text = await desk.library.documents.text(SYSTEM, await desk.collection(), rows["a.md"].id)
    _, content = await desk.library.documents.original(SYSTEM, await desk.collection(), rows["a.md"].id)
    assert text == content.decode()


async def test_a_deleted_document_is_gone_and_its_name_is_free(desk: Desk) -> None:
    with desk.worker():
        await desk.finished((await desk.add(note("a.md"), note("b.md")))[0].id)
        row = (await desk.documents())["a.md"]
        await desk.library.documents.delete(SYSTEM, await desk.collection(), row.id)
        with pytest.raises(NotFound):
            await desk.library.documents.get(SYSTEM, await desk.collection(), row.id)
        assert await desk.found("zebra") == ["b.md"]
        assert await desk.stored_chunks(row) == 0
        assert not await desk.resources.files.exists(row.file_key)
        assert not await desk.resources.files.exists(row.text_key)
        _, (again,) = await desk.add(note("a.md"))
    assert again.id != row.id


async def test_deleting_all_that_waits_cancels_its_job(desk: Desk) -> None:
    job, (document,) = await desk.add(note("a.md"))
    await desk.library.documents.delete(SYSTEM, await desk.collection(), document.id)
    job = await desk.job(job.id)
    assert (job.state, job.total, job.removed) == ("cancelled", 1, 1)
    with desk.worker():
        await eventually(lambda: nothing_waits(desk))
    assert await desk.documents() == {}


async def test_what_was_deleted_before_its_turn_is_no_success(desk: Desk) -> None:
    job, documents = await desk.add(note("a.md"), NewDocument("noise.bin", bytes(range(256)) * 8), note("c.md"), note("d.md"))
    for document in documents[2:]:
        await desk.library.documents.delete(SYSTEM, await desk.collection(), document.id)
    assert ((await desk.job(job.id)).state, (await desk.job(job.id)).removed) == ("queued", 2)
    await desk.library.documents.delete(SYSTEM, await desk.collection(), documents[0].id)
    with desk.worker():
        job = await desk.finished(job.id)
    assert (job.state, job.failed, job.removed) == ("failed", 1, 3)


async def test_a_collection_deleted_under_its_job_takes_what_was_left_of_it(desk: Desk) -> None:
    whole, _ = await desk.add(note("a.md"), note("b.md"))
    begun, _ = await desk.add(note("c.md"), note("d.md"), collection="others")
    await ingest_document(desk.context, "", 1)  # of the first job
    await ingest_document(desk.context, "", 1)  # of the second
    await desk.library.collections.delete(SYSTEM, "others")
    job = await desk.job(begun.id)
    assert (job.state, job.done, job.removed) == ("succeeded", 2, 1)
    assert (await desk.job(whole.id)).state == "running"
    untouched, _ = await desk.add(note("e.md"), note("f.md"), collection="third")
    await desk.library.collections.delete(SYSTEM, "third")
    job = await desk.job(untouched.id)
    assert (job.state, job.removed) == ("cancelled", 2)


async def test_jobs_take_turns(desk: Desk) -> None:
    large, _ = await desk.add(*(note(f"large-{number}.md") for number in range(4)))
    first = await desk.library.documents.leases.take_next()
    small, _ = await desk.add(note("small-0.md"), note("small-1.md"))
    later = [await desk.library.documents.leases.take_next() for _ in range(5)]
    order = [lease.document.job_id for lease in (first, *later) if lease is not None]
    assert order == [large.id, small.id, large.id, small.id, large.id, large.id]
    assert await desk.library.documents.leases.take_next() is None


async def test_a_job_is_not_kept_waiting_by_others_that_come_after_it(desk: Desk) -> None:
    large, _ = await desk.add(*(note(f"large-{number}.md") for number in range(3)))
    assert await desk.library.documents.leases.take_next() is not None
    order = []
    for number in range(3):
        await desk.add(note(f"small-{number}.md"))
        lease = await desk.library.documents.leases.take_next()
        order.append(lease is not None and lease.document.job_id == large.id)
    assert order == [False, True, False]


async def test_what_was_given_comes_before_what_a_crawl_has_found_and_tenants_before_both(desk: Desk) -> None:
    stranger = replace(SYSTEM, tenant="stranger")
    theirs = await desk.library.collections.ensure(stranger, "theirs")
    found = [replace(note(f"found-{number}.md"), source_id="src_x") for number in range(3)]
    await desk.add(*found)
    await desk.library.documents.add(stranger, theirs, [replace(note("theirs.md"), source_id="src_y")])
    await desk.add(note("given.md"))
    leases = [await desk.library.documents.leases.take_next() for _ in range(5)]
    names = [lease.document.name for lease in leases if lease is not None]
    assert names == ["given.md", "theirs.md", "found-0.md", "found-1.md", "found-2.md"]


async def test_there_is_room_for_one_more_of_a_tenant_that_waits_behind_another_s_long_files(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingestion, "LOOK_EVERY_S", 0.01)
    stranger = replace(SYSTEM, tenant="stranger")
    theirs = await desk.library.collections.ensure(stranger, "theirs")
    leases = desk.library.documents.leases
    await desk.add(*(note(f"long-{number}.md") for number in range(4)))
    with ExitStack() as works:
        for _ in range(desk.settings.jobs.threads):
            lease = await leases.take_next()
            assert lease is not None
            works.enter_context(leases.working_on(lease))
        before = await desk.messages()
        await ingest_document(desk.context, "doc_x", 1)
        assert [row.state for row in (await desk.documents()).values()].count("ready") == 0
        await desk.library.documents.add(stranger, theirs, [note("theirs.md")])
        await ingest_document(desk.context, "doc_x", 1)
        (row,), _ = await desk.library.documents.page(theirs, limit=1)
        assert row.state == "ready"
    await ingest_document(desk.context, "doc_x", 1)
    assert [row.state for row in (await desk.documents()).values()].count("ready") == 1
    assert await desk.messages() > before, "the message that found no room was sent again"


async def test_tenants_take_turns_before_their_jobs_do(desk: Desk) -> None:
    stranger = replace(SYSTEM, tenant="stranger")
    for name in ("a", "b", "c"):
        await desk.add(note(f"{name}.md"))
    theirs = await desk.library.collections.ensure(stranger, "papers")
    await desk.library.documents.add(stranger, theirs, [note("d.md"), note("e.md")])
    leases = [await desk.library.documents.leases.take_next() for _ in range(5)]
    tenants = [lease.document.tenant for lease in leases if lease is not None]
    assert tenants == [SYSTEM.tenant, "stranger"] * 2 + [SYSTEM.tenant]


async def test_deleting_what_is_worked_on_leaves_nothing_behind(desk: Desk) -> None:
    _, (document,) = await desk.add(note("a.md"))
    lease, indexed = await half_done(desk, document)
    await desk.library.documents.delete(SYSTEM, await desk.collection(), document.id)
    assert await desk.library.documents.leases.finish(lease, indexed, "pipeline") is None
    await let_go(desk.context, lease)
    assert desk.resources.store.count(Shelf.of(document)) == 0
    async with desk.database.session(all_tenants=True) as session:
        assert await session.get(Document, document.id) is None


async def test_a_collection_goes_with_all_that_it_holds(desk: Desk) -> None:
    with desk.worker():
        job = await desk.finished((await desk.add(note("a.md"), note("b.md")))[0].id)
        waiting, _ = await desk.add(note("c.md"))
        collection, rows = await desk.collection(), await desk.documents()
        await desk.library.collections.delete(SYSTEM, "papers")
        await desk.finished(waiting.id)
        await eventually(lambda: all_purged(desk, collection.id))
    assert job.state == "succeeded"
    with pytest.raises(NotFound):
        await desk.library.collections.get(SYSTEM, "papers")
    assert desk.resources.store.count(Shelf.of(collection)) == 0
    assert not await desk.resources.files.exists(rows["a.md"].file_key)
    assert (await desk.collection()).id != collection.id


async def test_a_cancelled_job_leaves_what_is_ready_and_fails_what_is_not(desk: Desk) -> None:
    with desk.worker():
        await desk.finished((await desk.add(note("a.md")))[0].id)
    job, _ = await desk.add(note("a.md", "New words."), note("b.md"))
    assert await desk.library.holds.cancel(SYSTEM, of_job(job)) == 2
    assert (await desk.job(job.id)).state == "cancelled"
    with pytest.raises(Conflict, match="ended already"):
        await desk.library.holds.cancel(SYSTEM, of_job(job))
    with desk.worker():
        await eventually(lambda: nothing_waits(desk))
    rows = await desk.documents()
    assert {name: (row.state, row.error_code) for name, row in rows.items()} == {
        "a.md": ("failed", "cancelled"),
        "b.md": ("failed", "cancelled"),
    }
    assert await desk.found("zebra") == ["a.md"]
    assert (await desk.job(job.id)).state == "cancelled"


async def test_cancelling_what_is_worked_on_leaves_nothing_of_it(desk: Desk) -> None:
    job, (document,) = await desk.add(note("a.md"))
    lease, indexed = await half_done(desk, document)
    await desk.library.holds.cancel(SYSTEM, of_job(job))
    assert await desk.library.documents.leases.finish(lease, indexed, "pipeline") is None
    await let_go(desk.context, lease)
    row = (await desk.documents())["a.md"]
    assert (row.state, row.error_code, row.lease) == ("failed", "cancelled", None)
    assert desk.resources.store.count(Shelf.of(row)) == 0


async def test_new_content_wins_against_the_work_on_the_old(desk: Desk) -> None:
    first, (document,) = await desk.add(note("a.md", "Old words."))
    lease, indexed = await half_done(desk, document)
    second, _ = await desk.add(note("a.md", "New words."))
    await ingest_document(desk.context, document.id, 2)  # the document is not free yet
    assert await desk.library.documents.leases.finish(lease, indexed, "pipeline") is None
    before = await desk.messages()
    await let_go(desk.context, lease)
    assert await desk.messages() == before + 1
    await ingest_document(desk.context, document.id, 2)
    assert [(await desk.job(job.id)).state for job in (first, second)] == ["succeeded", "succeeded"]
    row = (await desk.documents())["a.md"]
    assert (row.state, row.indexed_revision, await desk.stored_chunks()) == ("ready", 2, 1)
    assert await desk.library.documents.text(SYSTEM, await desk.collection(), row.id) == "New words."


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_plugin_that_exits_costs_its_document_a_try(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def leave(*_: object, **__: object) -> None:
        sys.exit(3)

    monkeypatch.setattr(desk.library.indexer, "index", leave)
    _, (document,) = await desk.add(note("a.md"))
    await ingest_document(desk.context, document.id, document.revision)
    kept = (await desk.documents())["a.md"]
    assert (kept.state, kept.error_code) == (DocumentState.QUEUED, "internal_error")


async def test_a_message_that_comes_twice_does_its_work_once(desk: Desk) -> None:
    _, (document,) = await desk.add(note("a.md"))
    await asyncio.gather(*(ingest_document(desk.context, document.id, 1) for _ in range(4)))
    await ingest_document(desk.context, document.id, 1)
    row = (await desk.documents())["a.md"]
    assert (row.state, row.attempts) == ("ready", 1)
    assert await desk.stored_chunks() == 1


async def test_work_that_the_broker_lost_is_found_in_the_database(desk: Desk) -> None:
    job, _ = await desk.add(*(note(f"{number}.md") for number in range(5)))
    with Redis.from_url(desk.redis_url) as client:
        client.flushall()
    with desk.worker():
        assert (await desk.finished(job.id)).state == "succeeded"
    assert await desk.stored_chunks() == 5


async def test_documents_are_accepted_while_the_broker_is_away(desk: Desk) -> None:
    nowhere = Queue("unix:///nowhere/valkey.sock")
    library = Library.build(desk.settings, desk.database, desk.resources, nowhere)
    job, _ = await library.documents.add(SYSTEM, await desk.collection(), [note("a.md")])
    assert job.state == "queued"
    with desk.worker():
        assert (await desk.finished(job.id)).state == "succeeded"


async def test_a_document_that_ends_its_worker_each_time_is_parked(desk: Desk) -> None:
    job, (document,) = await desk.add(note("a.md"))
    leases = desk.library.documents.leases
    for attempt in range(1, desk.settings.jobs.max_attempts + 1):
        lease = await leases.take(document.id, 1)  # the worker dies: nothing more is heard of the lease
        assert lease is not None
        assert (lease.document.attempts, lease.spent) == (attempt, False)
        await leases.expire(all_of_them=True)
    with desk.worker():
        job = await desk.finished(job.id)
    assert (job.state, [error["code"] for error in job.errors]) == ("failed", ["interrupted"])


async def test_what_a_worker_has_died_of_or_beside_is_tried_alone(desk: Desk) -> None:
    leases = desk.library.documents.leases
    await desk.add(note("a.md"))
    assert await leases.take_next() is not None
    await leases.expire(all_of_them=True)
    row = (await desk.documents())["a.md"]
    assert (row.state, row.error_code) == ("queued", "interrupted")
    await desk.add(note("b.md"), note("c.md"))
    other = await leases.take_next()
    assert other is not None
    with leases.working_on(other):
        third = await leases.take_next()
        assert (third and third.document.name, leases.waits) == ("c.md", False) or leases.waits
        while leases.waits is False:
            assert await leases.take_next() is None
        assert (await desk.documents())["a.md"].attempts == 1, "waiting costs no try"
    alone = await leases.take_next()
    while alone is not None and alone.document.name != "a.md":
        alone = await leases.take_next()
    assert alone is not None
    assert alone.alone
    await desk.add(note("d.md"))
    with leases.working_on(alone):
        assert (await leases.take_next(), leases.waits) == (None, True)
    assert await leases.take_next() is not None


async def test_a_worker_that_stops_gives_its_work_back_uncounted(desk: Desk) -> None:
    job, _ = await desk.add(note("a.md", "A long story about seals. " * 6_000))
    with desk.worker() as worker:
        await eventually(lambda: in_state(desk, "a.md", DocumentState.PROCESSING))
        await asyncio.to_thread(worker.stop, 2)
    await eventually(lambda: in_state(desk, "a.md", DocumentState.QUEUED))
    row = (await desk.documents())["a.md"]
    assert (row.attempts, row.lease) == (0, None)
    assert (await desk.job(job.id)).state == "running"


class TestShortLeases:
    @pytest.fixture
    def job_settings(self) -> dict[str, Any]:
        return {"lease_s": 2}

    async def test_a_lease_is_kept_alive_during_the_work(self, desk: Desk) -> None:
        _, (document,) = await desk.add(note("a.md"))
        lease = await desk.library.documents.leases.take(document.id, 1)
        assert lease is not None
        ends: set[datetime | None] = set()

        async def renewed_twice() -> bool:
            ends.add((await desk.documents())["a.md"].leased_until)
            return len(ends) > 2

        async with kept_alive(lambda: desk.library.documents.leases.renew(lease), lease_s=2):
            await eventually(renewed_twice)

    async def test_work_that_is_of_no_use_any_more_is_ended(self, desk: Desk) -> None:
        _, (document,) = await desk.add(note("a.md"))
        lease = await desk.library.documents.leases.take(document.id, 1)
        assert lease is not None

        async def work() -> None:
            async with kept_alive(lambda: desk.library.documents.leases.renew(lease), lease_s=2):
                await desk.library.documents.delete(SYSTEM, await desk.collection(), document.id)
                await asyncio.Event().wait()

        with pytest.raises(LeaseLost):
            await work()

    async def test_work_of_a_dead_worker_is_taken_over_when_its_lease_is_over(self, desk: Desk) -> None:
        job, (document,) = await desk.add(note("a.md"))
        leases = desk.library.documents.leases
        dead = await leases.take(document.id, 1)
        assert dead is not None
        assert await leases.take(document.id, 1) is None
        successor = await eventually(lambda: leases.take(document.id, 1))
        assert successor.document.attempts == 2
        assert not await leases.renew(dead)
        assert not await leases.fail(dead, "late", "too late")
        assert await leases.release(dead) is None
        assert await leases.renew(successor)
        assert (await desk.job(job.id)).state == "running"


async def half_done(desk: Desk, document: Document) -> tuple[Lease, IndexedDocument]:
    """A document whose content is in the stores, while its row still says that it is worked on."""
    lease = await desk.library.documents.leases.take(document.id, document.revision)
    assert lease is not None
    return lease, await desk.library.indexer.index(lease.document)


async def ready(desk: Desk, name: str, revision: int | None = None) -> bool:
    row = (await desk.documents()).get(name)
    return row is not None and row.state == DocumentState.READY and row.lease is None and revision in (None, row.revision)


async def in_state(desk: Desk, name: str, state: DocumentState) -> bool:
    return (await desk.documents())[name].state == state


async def nothing_waits(desk: Desk) -> bool:
    return await desk.messages() == 0


async def all_purged(desk: Desk, collection_id: str) -> bool:
    return collection_id not in {shelf.collection_id for shelf in await desk.library.collections.deleted()}


async def test_what_somebody_brought_in_who_may_not_any_more_is_not_read(desk: Desk) -> None:
    """Of four users one is disabled before a worker comes to their document, one loses the right to write, one the share."""
    people = ("ada", "ben", "cid", "dan")
    collection, jobs = await desk.collection(), {}
    async with desk.database.transaction(SYSTEM.tenant) as session:
        for name in people:
            session.add(User(id=f"usr_{name}", tenant=SYSTEM.tenant, name=name, role="developer"))
            share = {"kind": ShareKind.USER.value, "subject": f"usr_{name}", "access": ShareAccess.WRITE.value}
            session.add(CollectionShare(collection_id=collection.id, **share))
    for name in people:
        principal = Principal(f"usr_{name}", SYSTEM.tenant, name, "developer", ROLE_SCOPES[Role.DEVELOPER])
        jobs[name], _ = await desk.library.documents.add(principal, collection, [note(f"{name}.md")])
    async with desk.database.transaction(SYSTEM.tenant) as session:
        (await session.get_one(User, "usr_ben")).disabled_at = utc_now()
        (await session.get_one(User, "usr_cid")).role = "analyst"
        await session.exec(delete(CollectionShare).where(col(CollectionShare.subject) == "usr_dan"))
    with desk.worker():
        ended = {name: await desk.finished(job.id) for name, job in jobs.items()}
    assert {name for name, job in ended.items() if job.state == "succeeded"} == {"ada"}
    assert [error["code"] for name in people[1:] for error in ended[name].errors] == ["access_revoked"] * 3
    assert await desk.found("zebra") == ["ada.md"]
