"""A collection is written into one file and comes back as another, and nothing of it outlives an erasure."""

import io
import json
import zipfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.data_requests import QUEUE, SNAPSHOTS, DataRequests, open_request
from core.errors import Conflict, NotFound, Unavailable
from core.principals import ROLE_SCOPES, SYSTEM, Principal, Role
from core.redis_clients import RedisClients
from core.tables import Collection, DataRequest, DataRequestKind, Job, User
from jobs.data_requests import run_data_request
from jobs.ingestion import ingest_document
from jobs.sweeper import Sweeper
from retrievers import snapshots
from retrievers.base import Shelf
from retrievers.keeping import Snapshots
from retrievers.sharing import Level
from tests.desks import Desk, note

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

LONG = "\n\n".join(f"Paragraph {number} tells of pump {number} and of its {number} valves in the hall." for number in range(60))
ADA = Principal("usr_ada", "default", "Ada", Role.DEVELOPER, ROLE_SCOPES[Role.DEVELOPER])


def keeping(desk: Desk) -> Snapshots:
    return Snapshots(desk.database, desk.library.collections)


async def brought(desk: Desk, *items: Any) -> Collection:
    await desk.add(*items)
    for _ in items:
        await ingest_document(desk.context, "any", 1)
    return await desk.collection()


async def taken(desk: Desk) -> tuple[DataRequest, Job]:
    made, job = await keeping(desk).ask(SYSTEM, await desk.collection())
    await run_data_request(desk.context, made.id)
    return await keeping(desk).get(SYSTEM, made.id), await desk.job(job.id)  # type: ignore[return-value]


async def restored(desk: Desk, snapshot: str, name: str = "again") -> Job:
    made, job = await keeping(desk).restore(SYSTEM, snapshot, name)
    await run_data_request(desk.context, made.id)
    return await desk.job(job.id)


def vectors(desk: Desk, collection: Collection) -> dict[tuple[str, int], np.ndarray]:
    chunks, matrix = desk.resources.store.scan(Shelf.of(collection), "", 10_000)
    return {(chunk.document, chunk.start): vector for chunk, vector in zip(chunks, matrix, strict=True)}


async def test_a_snapshot_comes_back_as_another_collection_with_all_that_it_had(desk: Desk, monkeypatch: Any) -> None:
    before = await brought(desk, note("long.md", LONG, topic="pumps"), note("zebra.md"))
    await desk.library.collections.update(SYSTEM, "papers", description="All papers")
    (row, _), job = await taken(desk)
    assert (job.state, job.result["documents"], job.result["left_out"]) == ("succeeded", 2, 0)  # type: ignore[index]
    sealed = b"".join(path.read_bytes() for path in desk.settings.path("files").rglob(row.id) if path.is_file())
    assert sealed
    assert b"zebra" not in sealed
    monkeypatch.setattr(desk.library.indexer, "embed", None)  # vectors come with it
    again = await restored(desk, row.id)
    assert (again.state, again.errors, again.result["documents"]) == ("succeeded", [], 2)  # type: ignore[index]
    after = await desk.library.collections.get(SYSTEM, "again")
    assert (after.description, after.settings) == ("All papers", before.settings)
    there, here = vectors(desk, before), vectors(desk, after)
    assert here.keys() == there.keys()
    assert all(np.allclose(here[one], there[one]) for one in there)
    assert (await desk.found("which word is zebra's", "again"))[0] == "zebra.md"
    olds, news = await desk.documents(), await desk.documents("again")
    assert news["long.md"].attributes == {"topic": "pumps"}
    told = {name: (row.created_at, row.updated_at) for name, row in olds.items()}
    assert {name: (row.created_at, row.updated_at) for name, row in news.items()} == told  # what retention goes by
    assert news["long.md"].pipeline == olds["long.md"].pipeline
    _, original = await desk.library.documents.original(SYSTEM, after, news["long.md"].id)
    assert original.decode() == LONG
    assert await desk.library.documents.text(SYSTEM, after, news["long.md"].id) == LONG
    job, _ = await desk.add(note("zebra.md"), collection="again")
    assert job.skipped == 1  # unchanged
    with pytest.raises(Conflict):
        await keeping(desk).restore(SYSTEM, row.id, "again")


async def test_vectors_of_another_model_are_made_anew(desk: Desk, monkeypatch: Any) -> None:
    await brought(desk, note("zebra.md"))
    (row, _), _ = await taken(desk)
    read = snapshots.manifest_of
    monkeypatch.setattr(snapshots, "manifest_of", lambda archive: read(archive) | {"model": "another"})
    put, given = desk.library.indexer.put, []

    async def seen(generation: Any, chunks: Any, matrix: Any) -> None:
        given.append(matrix)
        await put(generation, chunks, matrix)

    embed = desk.library.indexer.embed
    made: list[Any] = []

    async def embedded(*arguments: Any) -> Any:
        made.append(await embed(*arguments))
        return made[-1]

    monkeypatch.setattr(desk.library.indexer, "put", seen)
    monkeypatch.setattr(desk.library.indexer, "embed", embedded)
    assert (await restored(desk, row.id)).state == "succeeded"
    assert len(made) == len(given) == 1
    assert np.array_equal(made[0], given[0])


async def test_a_restoring_that_was_cut_short_goes_on(desk: Desk, monkeypatch: Any) -> None:
    await brought(desk, note("a.md"), note("b.md"), note("c.md"))
    (row, _), _ = await taken(desk)
    made, job = await keeping(desk).restore(SYSTEM, row.id, "again")
    monkeypatch.setattr(snapshots, "_TOGETHER", 1)
    put, times = desk.library.indexer.put, 0

    async def away_at_the_second(*arguments: Any) -> None:
        nonlocal times
        times += 1
        if times == 2:
            raise Unavailable("The vector store does not answer.", code="store_unavailable")
        await put(*arguments)

    monkeypatch.setattr(desk.library.indexer, "put", away_at_the_second)
    await run_data_request(desk.context, made.id)
    assert (await desk.job(job.id)).state == "running"
    async with desk.database.transaction(all_tenants=True) as session:
        request = await session.get_one(DataRequest, made.id)
        assert request.attempts == 0  # what was away does not count
        request.leased_until = None
    await run_data_request(desk.context, made.id)
    assert (await desk.job(job.id)).state == "succeeded"
    assert times == 4  # the first was not put again
    assert sorted(await desk.documents("again")) == ["a.md", "b.md", "c.md"]


async def test_long_documents_come_back_one_by_one(desk: Desk, monkeypatch: Any) -> None:
    await brought(desk, note("a.md"), note("b.md"), note("c.md"))
    (row, _), _ = await taken(desk)
    monkeypatch.setattr(snapshots, "_CHUNKS_TOGETHER", 1)
    add, together = snapshots.SnapshotReader._add, []

    async def seen(self: Any, rows: Any, generation: Any) -> None:
        together.append(len(rows))
        await add(self, rows, generation)

    monkeypatch.setattr(snapshots.SnapshotReader, "_add", seen)
    assert (await restored(desk, row.id)).state == "succeeded"
    assert together == [1, 1, 1]


async def test_a_name_that_is_taken_leaves_its_document_out_and_keeps_no_other_away(desk: Desk, monkeypatch: Any) -> None:
    await brought(desk, note("a.md"), note("b.md"), note("c.md"))
    (row, _), _ = await taken(desk)
    made, job = await keeping(desk).restore(SYSTEM, row.id, "again")
    mine = {"a.md": (await desk.add(note("a.md", "Mine."), collection="again"))[1][0].id}
    put = desk.library.indexer.put

    async def another_is_quicker(*arguments: Any) -> None:
        await put(*arguments)
        if "b.md" not in mine:
            mine["b.md"] = (await desk.add(note("b.md", "Mine."), collection="again"))[1][0].id

    monkeypatch.setattr(desk.library.indexer, "put", another_is_quicker)
    await run_data_request(desk.context, made.id)
    ended = await desk.job(job.id)
    assert (ended.state, ended.result) == ("succeeded", {"collection": "again", "documents": 1, "left_out": 2})
    assert {(error["document"], error["code"]) for error in ended.errors} == {(name, "already_exists") for name in mine}
    documents = await desk.documents("again")
    assert {name: documents[name].id for name in mine} == mine
    assert sorted(documents) == ["a.md", "b.md", "c.md"]
    assert await desk.stored_chunks(collection="again") == 1
    place = desk.settings.path("files") / (await desk.collection("again")).id
    of_documents = {path.relative_to(place).parts[0] for path in place.rglob("*") if path.is_file()}
    assert of_documents == {document.id for document in documents.values()}


async def test_nothing_is_left_of_a_collection_that_is_deleted_while_it_is_restored(desk: Desk, monkeypatch: Any) -> None:
    await brought(desk, note("a.md"))
    (row, _), _ = await taken(desk)
    made, job = await keeping(desk).restore(SYSTEM, row.id, "again")
    shelf = Shelf.of(await desk.collection("again"))
    put = desk.library.indexer.put

    async def deleted_before(*arguments: Any) -> None:
        await desk.library.collections.delete(SYSTEM, "again")
        await put(*arguments)

    monkeypatch.setattr(desk.library.indexer, "put", deleted_before)
    await run_data_request(desk.context, made.id)
    assert [error["code"] for error in (await desk.job(job.id)).errors] == ["collection_not_found"]
    for gone in await desk.library.collections.deleted():
        assert await desk.library.collections.purge(gone)
    assert desk.resources.store.count(shelf) == 0
    files = desk.settings.path("files") / shelf.collection_id
    assert [path for path in files.rglob("*") if path.is_file()] == []


async def test_an_erasure_waits_for_what_is_being_restored(desk: Desk) -> None:
    async with desk.database.transaction(all_tenants=True) as session:
        session.add(User(id=ADA.id, tenant="default", name="Ada", role="developer"))
    await desk.library.collections.create(ADA, "adas")
    row, _ = await keeping(desk).ask(ADA, await desk.library.collections.get(ADA, "adas"))
    await run_data_request(desk.context, row.id)
    restoring, _ = await keeping(desk).restore(ADA, row.id, "again")
    requests = DataRequests(desk.database, lease_s=30)
    lease = await requests.take(restoring.id)
    assert lease is not None
    about = {"subject": ADA.id, "subject_tenant": "default"}
    async with desk.database.transaction(all_tenants=True) as session:
        request, job = await open_request(session, SYSTEM, DataRequestKind.ERASE_USER, **about)
    desk.resources.models.answers.connect(RedisClients(desk.redis_url))
    await run_data_request(desk.context, request.id)
    assert (await desk.job(job.id)).state == "running"
    assert await requests.renew(lease)
    await requests.release(lease)
    async with desk.database.transaction(all_tenants=True) as session:
        (await session.get_one(DataRequest, request.id)).leased_until = None
    await run_data_request(desk.context, request.id)
    assert (await desk.job(job.id)).state == "succeeded"
    async with desk.database.session(all_tenants=True) as session:
        assert await session.get(DataRequest, restoring.id) is None
    assert await desk.library.collections.deleted() == []


async def test_snapshots_keep_no_erasure_waiting(desk: Desk) -> None:
    """They have a worker's thread of their own."""
    await keeping(desk).ask(SYSTEM, await desk.collection())
    await Sweeper(desk.context).sweep()
    assert (await desk.queue.waiting(SNAPSHOTS), await desk.queue.waiting(QUEUE)) == (1, 0)
    async with desk.database.transaction(all_tenants=True) as session:
        await open_request(session, SYSTEM, DataRequestKind.EXPORT, subject="usr_x", subject_tenant="default")
    await Sweeper(desk.context).sweep()
    assert (await desk.queue.waiting(SNAPSHOTS), await desk.queue.waiting(QUEUE)) == (1, 1)


async def test_who_does_not_manage_the_collection_finds_no_snapshot_of_it(desk: Desk) -> None:
    await brought(desk, note("a.md"))
    (row, _), _ = await taken(desk)
    acme = replace(SYSTEM, tenant="acme")
    narrow = replace(SYSTEM, collections=frozenset({"other"}))
    for stranger in (ADA, acme, narrow):
        assert await keeping(desk).all(stranger) == []
        for attempt in (keeping(desk).get(stranger, row.id), keeping(desk).restore(stranger, row.id, "mine")):
            with pytest.raises(NotFound) as refused:
                await attempt
            assert refused.value.code == "snapshot_not_found"
        with pytest.raises(NotFound):
            await keeping(desk).delete(stranger, row.id)
    assert len(await keeping(desk).all(SYSTEM)) == 1


async def test_an_owner_takes_one_of_their_own_and_deletes_it(desk: Desk) -> None:
    await desk.library.collections.create(ADA, "adas")
    collection = await desk.library.collections.get(ADA, "adas", Level.MANAGE)
    made, _ = await keeping(desk).ask(replace(SYSTEM), collection)
    await run_data_request(desk.context, made.id)
    row, _ = await keeping(desk).get(ADA, made.id)
    assert await desk.resources.files.exists(row.file_key)
    content = await desk.resources.files.get(row.file_key, tenant="default")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert json.loads(archive.read("manifest.json"))["documents"] == 0
    await keeping(desk).delete(ADA, made.id)
    with pytest.raises(NotFound):
        await keeping(desk).get(ADA, made.id)


async def test_what_is_no_snapshot_is_told_and_a_collection_that_is_deleted_ends_it(desk: Desk) -> None:
    await brought(desk, note("a.md"))
    (row, _), _ = await taken(desk)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("manifest.json", b'{"form": 99}')
    await desk.resources.files.put(row.file_key, content.getvalue(), tenant="default")
    assert [error["code"] for error in (await restored(desk, row.id)).errors] == ["snapshot_unreadable"]
    await desk.resources.files.put(row.file_key, b"PK no", tenant="default")
    assert [error["code"] for error in (await restored(desk, row.id, "third")).errors] == ["snapshot_unreadable"]
    made, job = await keeping(desk).ask(SYSTEM, await desk.collection())
    await desk.library.collections.delete(SYSTEM, "papers")
    await run_data_request(desk.context, made.id)
    assert [error["code"] for error in (await desk.job(job.id)).errors] == ["collection_not_found"]


async def test_an_erasure_deletes_snapshots_of_who_is_erased_also_of_a_collection_that_is_gone(desk: Desk) -> None:
    async with desk.database.transaction(all_tenants=True) as session:
        session.add(User(id=ADA.id, tenant="default", name="Ada", role="developer"))
    await desk.library.collections.create(ADA, "adas")
    made, _ = await keeping(desk).ask(SYSTEM, await desk.library.collections.get(SYSTEM, "adas"))
    await run_data_request(desk.context, made.id)
    row, _ = await keeping(desk).get(SYSTEM, made.id)
    await desk.library.collections.delete(ADA, "adas")
    async with desk.database.transaction(all_tenants=True) as session:
        about = {"subject": ADA.id, "subject_tenant": "default"}
        request, job = await open_request(session, SYSTEM, DataRequestKind.ERASE_USER, **about)
    answers = desk.resources.models.answers
    answers.connect(RedisClients(desk.redis_url))
    await run_data_request(desk.context, request.id)
    assert (await desk.job(job.id)).state == "succeeded"
    assert await keeping(desk).all(SYSTEM) == []
    assert not await desk.resources.files.exists(row.file_key)
