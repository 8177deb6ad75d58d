"""Collections move to another store or model while they are asked and changed, and come back; what is cut short goes on."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from sqlmodel import col, delete, select, update

from core.database import Database, utc_now
from core.errors import Conflict, Forbidden, InvalidRequest, NotFound, Unavailable
from core.principals import ROLE_SCOPES, SYSTEM, Principal, Role, Scope
from core.settings import Settings, SettingsError
from core.tables import Collection, IndexGeneration, Job, JobState
from infra.postgresql import database_of_platform
from jobs import reindexing as reindexing_job
from jobs.data_requests import run_data_request
from jobs.ingestion import ingest_document
from jobs.reconciliation import reconcile_collection
from jobs.reindexing import work_on_generation
from jobs.sweeper import Sweeper
from providers.models import Models
from retrievers import filling
from retrievers.base import Shelf
from retrievers.dead_letters import Which
from retrievers.documents import NewDocument
from retrievers.generations import Generation, GenerationChanged
from retrievers.keeping import Snapshots
from retrievers.library import Library
from retrievers.reconciliation import Reconciliation
from retrievers.reindexing import QUEUE, Reindexing
from retrievers.relocation import Move, Relocation, Whereabouts, cancel
from retrievers.store_words import StoreWords
from retrievers.upkeep import Upkeep
from tests.desks import Desk, note, opened
from tests.fakes import pinecone, weaviate

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

AGAIN = {
    "alias": "again",
    "kind": "embeddings",
    "deployments": [{"provider": "local", "model": "all-MiniLM-L6-v2", "serves": "another"}],
}
LONG = "\n\n".join(f"Paragraph {number} tells of pump {number} and of its {number} valves in the hall." for number in range(60))
TO_PGVECTOR, TO_CHROMA = Whereabouts("pgvector", None), Whereabouts("chroma", None)


@pytest.fixture(scope="module")
def many_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    made = Models(Settings.load(data_dir=tmp_path_factory.mktemp("models"), models=[AGAIN]))
    yield made
    asyncio.run(made.close())


@pytest.fixture
async def desk(database: Database, settings: Settings, many_models: Models, postgresql: Any) -> AsyncIterator[Desk]:
    """With Chroma for new collections, and pgvector beside it."""
    vectors = database_of_platform(postgresql, f"vectors_{uuid4().hex}")
    url = database.engine.url.render_as_string(hide_password=False).replace("sqlite+aiosqlite", "sqlite")
    retrieval = {"other_stores": ["pgvector"], "pgvector_url": vectors}
    settings = Settings.load(data_dir=settings.data_dir, database_url=url, models=[AGAIN], retrieval=retrieval)
    async with opened(settings, database, many_models) as ready:
        yield ready


def relocation(desk: Desk) -> Relocation:
    return Relocation(desk.settings, desk.database, desk.resources, desk.library.generations)


async def brought(desk: Desk, *items: Any) -> Shelf:
    """A collection with these documents, ready as by a worker."""
    job, _ = await desk.add(*items)
    for _ in items:
        await ingest_document(desk.context, "any", 1)
    assert (await desk.job(job.id)).state == "succeeded"
    return Shelf.of(await desk.collection())


async def asked(desk: Desk, to: Whereabouts = TO_PGVECTOR, **more: Any) -> tuple[Job, str]:
    """A move of the collection that was asked for, and the generation that it fills."""
    job, (generation,) = await relocation(desk).ask(SYSTEM, Move(to, names=("papers",), **more))
    return job, generation


async def moved(desk: Desk, to: Whereabouts = TO_PGVECTOR, **more: Any) -> Job:
    job, generation = await asked(desk, to, **more)
    await work_on_generation(desk.context, generation)
    return await desk.job(job.id)


async def generations(desk: Desk) -> list[IndexGeneration]:
    """The newest first."""
    return await relocation(desk).page(await desk.collection())


async def active(desk: Desk) -> Generation:
    return await desk.library.generations.current(Shelf.of(await desk.collection()))


def holds(desk: Desk, generation: Generation | IndexGeneration) -> dict[str, np.ndarray]:
    """The vectors of a generation, by chunk."""
    if isinstance(generation, IndexGeneration):
        generation = Generation.of(generation)
    chunks, vectors = desk.resources.store_of(generation.store).scan(generation.shelf, "", 10_000)
    return {chunk.id: vector for chunk, vector in zip(chunks, vectors, strict=True)}


async def change(desk: Desk, *which: Any, **values: Any) -> None:
    async with desk.database.transaction(all_tenants=True) as session:
        await session.exec(update(IndexGeneration).where(*which).values(**values))


async def test_a_collection_moves_to_another_store_with_its_vectors_and_is_found_there(desk: Desk) -> None:
    await brought(desk, note("long.md", LONG), note("zebra.md"))
    before = holds(desk, await active(desk))
    job = await moved(desk)
    assert (job.state, job.result, job.errors) == ("succeeded", {"moved": 1}, [])
    assert job.done == job.total == len(before)
    now = await active(desk)
    assert now.store == "pgvector"
    after = holds(desk, now)
    assert after.keys() == before.keys()
    assert all(np.allclose(after[one], before[one], atol=1e-6) for one in before)
    kept = (await generations(desk))[1]
    assert (kept.store, kept.state) == ("chroma", "kept")
    desk.resources.store.delete_collection(Generation.of(kept).shelf)
    assert (await desk.found("which word is zebra's"))[0] == "zebra.md"
    await brought(desk, note("late.md", "The word of late.md is okapi."))
    assert (await desk.found("okapi"))[0] == "late.md"


async def test_vectors_of_another_model_are_compared_with_nothing_and_nothing_is_put_among_them_until_it_is_moved(
    desk: Desk,
) -> None:
    shelf = await brought(desk, note("zebra.md"))
    here, before, find = Whereabouts(None, "embeddings"), await active(desk), desk.library.searcher.find
    await change(desk, IndexGeneration.id == before.id, model="azure/all-minilm-l6-v2")
    desk.resources.known.clear()
    assert not (await find(shelf, "zebra", limit=3)).degraded, "the same model at another provider"
    assert (await desk.library.rereading.begin(SYSTEM, await desk.collection())).total == 0
    assert (await relocation(desk).ask(SYSTEM, Move(here, names=("papers",))))[1] == []

    await change(desk, IndexGeneration.id == before.id, model="openai/former", origin_model="openai/former")
    desk.resources.known.clear()
    found = await find(shelf, "zebra", limit=3)
    assert (found.degraded, found.by_words, [one.chunk.document for one in found.passages]) == (True, True, ["zebra.md"])
    with pytest.raises(Conflict) as refused:
        await find(shelf, "zebra", limit=3, mode="dense")
    assert refused.value.code == "embedding_changed"
    with pytest.raises(Conflict):
        await desk.library.rereading.begin(SYSTEM, await desk.collection())
    there, (job, _) = holds(desk, before), await desk.add(note("okapi.md"))
    await ingest_document(desk.context, "any", 1)
    job = await desk.job(job.id)
    assert (job.state, [error["code"] for error in job.errors]) == ("failed", ["embedding_changed"])
    assert holds(desk, before).keys() == there.keys()

    assert (await moved(desk, here)).result == {"moved": 1}
    again = (await desk.library.dead_letters.retry(SYSTEM, await desk.collection(), Which())).job
    await ingest_document(desk.context, "any", 1)
    assert again is not None
    assert (await desk.job(again.id)).state == "succeeded"
    found = await find(shelf, "the word of okapi.md", limit=3, mode="dense")
    assert found.passages[0].chunk.document == "okapi.md"


async def test_what_is_added_replaced_and_deleted_while_it_moves_is_right_afterwards(desk: Desk, monkeypatch: Any) -> None:
    await brought(desk, note("stays.md"), note("replaced.md", "An old word: quagga."), note("deleted.md"))
    job, generation = await asked(desk)
    copy, compare = filling.Filling.copy, filling.Filling.verify

    async def copied(self: Any, cursor: str) -> None:
        await copy(self, cursor)
        await brought(desk, note("added.md", "A new word: okapi."), note("replaced.md", "A newer word: bongo."))
        await desk.library.documents.delete(SYSTEM, await desk.collection(), (await desk.documents())["deleted.md"].id)

    async def compared(self: Any, number: int) -> dict[str, int]:
        told = await compare(self, number)
        await brought(desk, note("last.md", "The last word: gnu."))
        return told

    monkeypatch.setattr(filling.Filling, "copy", copied)
    monkeypatch.setattr(filling.Filling, "verify", compared)
    await work_on_generation(desk.context, generation)
    assert (await desk.job(job.id)).state == "succeeded"
    documents, now = await desk.documents(), await active(desk)
    assert now.store == "pgvector"
    assert sorted(documents) == ["added.md", "last.md", "replaced.md", "stays.md"]
    store = desk.resources.store_of("pgvector")
    assert {row.id: store.count(now.shelf, row.id) for row in documents.values()} == {row.id: 1 for row in documents.values()}
    assert store.count(now.shelf) == len(documents)
    assert (await desk.found("bongo"))[0] == "replaced.md"


async def test_a_document_that_is_read_while_its_collection_is_switched_goes_into_the_new_one(
    desk: Desk, monkeypatch: Any
) -> None:
    await brought(desk, note("first.md"))
    before = await active(desk)
    _, generation = await asked(desk)
    index, times = desk.library.indexer.index, 0

    async def indexed(document: Any) -> Any:
        nonlocal times
        made = await index(document)
        times += 1
        if times == 1:
            await work_on_generation(desk.context, generation)
            async with desk.database.transaction(all_tenants=True) as session:  # as by who takes its lease for a dead one's
                await session.exec(delete(IndexGeneration).where(col(IndexGeneration.id) == before.id))
        return made

    monkeypatch.setattr(desk.library.indexer, "index", indexed)
    await brought(desk, note("second.md", "The word is okapi."))
    now, document = await active(desk), (await desk.documents())["second.md"]
    assert (now.store, document.state, document.attempts) == ("pgvector", "ready", 1)
    assert desk.resources.store_of("pgvector").count(now.shelf, document.id) == 1
    assert times == 2
    assert len(holds(desk, before)) == 1  # nothing of the second


async def test_what_goes_waits_for_who_may_still_write_to_it_and_nothing_is_left_of_what_they_wrote(
    desk: Desk, monkeypatch: Any
) -> None:
    monkeypatch.setattr(reindexing_job, "LET_GO_S", 0)
    await brought(desk, note("first.md"))
    before = await active(desk)
    _, generation = await asked(desk)
    index, fetched, times = desk.library.indexer.index, 0, 0

    async def fetch(*_: Any, **__: Any) -> tuple[bytes, str]:
        nonlocal fetched
        fetched += 1
        return b"The word is okapi.", "second.md"

    async def indexed(document: Any) -> Any:
        nonlocal times
        made = await index(document)
        times += 1
        if times == 1:
            await work_on_generation(desk.context, generation)
            await change(desk, IndexGeneration.id == before.id, state="dropping")
            await work_on_generation(desk.context, before.id)
            assert len(await generations(desk)) == 2
        return made

    monkeypatch.setattr(desk.library.indexer, "index", indexed)
    monkeypatch.setattr("retrievers.fetching.fetch", fetch)
    await brought(desk, NewDocument("second.md", url="http://documents.example/second.md"))
    assert (times, fetched) == (2, 1)
    await change(desk, leased_until=None)
    await work_on_generation(desk.context, before.id)
    assert [row.state for row in await generations(desk)] == ["active"]
    assert holds(desk, before) == {}
    assert (await desk.found("okapi"))[0] == "second.md"


async def test_what_was_written_to_a_generation_whose_row_is_gone_is_taken_back(desk: Desk) -> None:
    await brought(desk, note("first.md"))
    before, document = await active(desk), (await desk.documents())["first.md"]
    await desk.library.indexer.withdraw(before, document.id, keep_revision=1)
    assert len(holds(desk, before)) == 1
    async with desk.database.transaction(all_tenants=True) as session:
        await session.exec(update(IndexGeneration).values(shelf="elsewhere"))
    await desk.library.indexer.withdraw(before, document.id, keep_revision=1)
    assert holds(desk, before) == {}


async def test_a_collection_that_moves_while_it_is_reconciled_is_reconciled_where_it_is_then(
    desk: Desk, monkeypatch: Any
) -> None:
    await brought(desk, note("long.md", LONG))
    _, generation = await asked(desk)
    held, read = Reconciliation.held, []

    async def moving(self: Reconciliation) -> Any:
        read.append(self._generation.store)
        found = await held(self)
        if len(read) == 1:
            await work_on_generation(desk.context, generation)
        return found

    monkeypatch.setattr(Reconciliation, "held", moving)
    job = await Upkeep(desk.database, lease_s=30).ask(SYSTEM, await desk.collection())
    await reconcile_collection(desk.context, (await desk.collection()).id)
    assert (await desk.job(job.id)).state == "succeeded"
    assert read == ["chroma", "pgvector"]


async def test_a_repair_of_a_generation_that_is_left_meanwhile_is_taken_back(desk: Desk, monkeypatch: Any) -> None:
    await brought(desk, note("first.md"))
    before, document = await active(desk), (await desk.documents())["first.md"]
    leases = desk.library.documents.leases
    work = Reconciliation(desk.database, desk.library.indexer, leases, before)
    lease = await leases.hold(document.id)
    assert lease is not None
    await work.repair(lease)
    store = desk.library.indexer.store

    async def stored(*arguments: Any) -> None:
        await store(*arguments)
        async with desk.database.transaction(all_tenants=True) as session:
            await session.exec(update(IndexGeneration).values(shelf="elsewhere"))

    monkeypatch.setattr(desk.library.indexer, "store", stored)
    with pytest.raises(GenerationChanged):
        await work.repair(lease)
    assert holds(desk, before) == {}
    with pytest.raises(GenerationChanged):
        await work.repair(lease)


async def test_a_snapshot_that_is_restored_while_its_collection_moves_goes_into_the_new_one(
    desk: Desk, monkeypatch: Any
) -> None:
    await brought(desk, note("first.md"), note("second.md"))
    keeping = Snapshots(desk.database, desk.library.collections)
    snapshot, _ = await keeping.ask(SYSTEM, await desk.collection())
    await run_data_request(desk.context, snapshot.id)
    restoring, job = await keeping.restore(SYSTEM, snapshot.id, "again")
    shelf = Shelf.of(await desk.collection("again"))
    before = await desk.library.generations.current(shelf)
    put, times = desk.library.indexer.put, 0

    async def moving(*arguments: Any) -> None:
        nonlocal times
        times += 1
        await put(*arguments)
        if times == 1:
            _, (generation,) = await relocation(desk).ask(SYSTEM, Move(TO_PGVECTOR, names=("again",)))
            await work_on_generation(desk.context, generation)

    monkeypatch.setattr(desk.library.indexer, "put", moving)
    await run_data_request(desk.context, restoring.id)
    assert (await desk.job(job.id)).state == "succeeded"
    now = await desk.library.generations.current(shelf)
    assert (now.store, len(holds(desk, now)), holds(desk, before)) == ("pgvector", 2, {})


async def test_neither_what_is_filled_nor_what_goes_waits_behind_all_of_the_other(desk: Desk) -> None:
    await brought(desk, note("first.md"))
    for name in ("second", "third"):
        await desk.collection(name)
    await moved(desk)
    _, found = await relocation(desk).ask(SYSTEM, Move(TO_PGVECTOR, names=("second", "third")))
    kept = (await generations(desk))[1]
    await change(desk, IndexGeneration.id == kept.id, state="dropping")
    due = await Reindexing(desk.database, lease_s=30).due(2)
    assert (due[0] in found, due[1]) == (True, kept.id)


async def test_a_copy_that_was_cut_short_goes_on_behind_what_it_had_and_a_lost_lease_changes_nothing(
    desk: Desk, monkeypatch: Any
) -> None:
    await brought(desk, note("long.md", LONG * 3))
    monkeypatch.setattr(filling, "_COPIED", 4)
    job, generation = await asked(desk)
    reindexing = Reindexing(desk.database, lease_s=30)
    lease = await reindexing.take(generation)
    assert lease is not None
    assert await reindexing.take(generation) is None

    class Killed(BaseException):
        """As by SIGKILL: nothing is cleaned up."""

    async def note_twice(**values: Any) -> None:
        assert await reindexing.advance(lease, **values)
        if lease.row.cursor and values.get("done"):
            raise Killed

    source, target = await active(desk), lease.generation
    with pytest.raises(Killed):
        await filling.Filling(desk.database, desk.library.indexer, source, target, note_twice).copy("")
    await Sweeper(desk.context).take_back()
    assert not await reindexing.renew(lease)
    copied = holds(desk, target)
    assert len(copied) == 4
    scanned: list[str] = []
    scan = desk.resources.store.scan

    def seen(shelf: Shelf, after: str, limit: int) -> Any:
        scanned.append(after)
        return scan(shelf, after, limit)

    monkeypatch.setattr(desk.resources.store, "scan", seen)
    await work_on_generation(desk.context, generation)
    assert scanned[0] == max(copied)
    assert (await desk.job(job.id)).state == "succeeded"
    assert await reindexing.switch(lease) is None
    assert not await reindexing.advance(lease, number=99)
    assert holds(desk, await active(desk)).keys() == holds(desk, source).keys()


async def test_another_model_embeds_anew_and_questions_are_put_to_it(desk: Desk, monkeypatch: Any) -> None:
    await brought(desk, note("long.md", LONG), note("zebra.md"))
    job = await moved(desk, Whereabouts(None, "again"))
    assert job.state == "succeeded"
    now = await active(desk)
    assert (now.store, now.embeddings, now.model) == ("chroma", "again", "another")
    assert now.shelf != (await generations(desk))[1].shelf
    used: list[str] = []
    embeddings = desk.resources.models.embeddings
    monkeypatch.setattr(desk.resources.models, "embeddings", lambda alias: used.append(alias) or embeddings(alias))
    assert (await desk.found("which word is zebra's"))[0] == "zebra.md"
    assert used == ["again"]
    reconciled = await Upkeep(desk.database, lease_s=30).ask(SYSTEM, await desk.collection())
    await reconcile_collection(desk.context, (await desk.collection()).id)
    result = (await desk.job(reconciled.id)).result or {}
    assert (result["missing"], result["orphans"], result["unrepaired"]) == (0, 0, 0)


async def test_one_goes_back_to_what_was_kept_with_what_has_changed_since(desk: Desk) -> None:
    await brought(desk, note("stays.md"), note("deleted.md"))
    before = await active(desk)
    await moved(desk)
    await brought(desk, note("added.md", "The word is okapi."))
    await desk.library.documents.delete(SYSTEM, await desk.collection(), (await desk.documents())["deleted.md"].id)
    assert len(holds(desk, before)) == 1  # what is deleted is nowhere, at once
    job, (generation,) = await relocation(desk).go_back(SYSTEM, await desk.collection())
    assert generation == before.id
    await work_on_generation(desk.context, generation)
    assert (await desk.job(job.id)).state == "succeeded"
    assert (await active(desk)).shelf == before.shelf
    assert len(holds(desk, before)) == 2
    assert (await desk.found("okapi"))[0] == "added.md"
    with pytest.raises(NotFound) as refused:
        await relocation(desk).go_back(SYSTEM, await desk.collection("other"))
    assert refused.value.code == "generation_not_found"


async def test_what_is_kept_goes_when_its_time_is_over_or_on_command(desk: Desk) -> None:
    await brought(desk, note("a.md"))
    await moved(desk, keep_s=3600)
    now, kept = await generations(desk)
    reindexing = Reindexing(desk.database, lease_s=30)
    assert await reindexing.due(10) == []
    with pytest.raises(Conflict) as refused:
        await relocation(desk).drop(SYSTEM, await desk.collection(), now.id)
    assert refused.value.code == "generation_in_use"
    await relocation(desk).drop(SYSTEM, await desk.collection(), kept.id)
    assert await reindexing.due(10) == []  # a search may have begun in it
    async with desk.database.transaction(all_tenants=True) as session:
        long_ago = utc_now().replace(year=2020)
        await session.exec(update(IndexGeneration).where(col(IndexGeneration.id) == kept.id).values(switched_at=long_ago))
    await Sweeper(desk.context).sweep()
    assert await desk.queue.waiting(QUEUE) == 1
    await work_on_generation(desk.context, kept.id)
    assert [row.id for row in await generations(desk)] == [now.id]
    assert holds(desk, kept) == {}
    assert await desk.found("zebra") == ["a.md"]


async def test_what_cannot_be_verified_is_not_switched_to(desk: Desk) -> None:
    await brought(desk, note("long.md", LONG))
    document = (await desk.documents())["long.md"]
    lost = sorted(holds(desk, await active(desk)))[:3]
    client: Any = desk.resources.store._client  # type: ignore[attr-defined]  # Chroma's
    client.get_collection(document.collection_id, embedding_function=None).delete(ids=lost)
    await desk.resources.files.delete(document.chunks_key)
    job = await moved(desk)
    assert (job.state, [error["code"] for error in job.errors]) == ("failed", ["reindex_not_verified"])
    assert (await active(desk)).store == "chroma"
    assert [row.state for row in await generations(desk)] == ["dropping", "active"]


async def test_chunks_that_the_old_store_has_lost_are_there_in_the_new_one(desk: Desk) -> None:
    shelf = await brought(desk, note("long.md", LONG))
    before = holds(desk, await active(desk))
    client: Any = desk.resources.store._client  # type: ignore[attr-defined]  # Chroma's
    client.get_collection(shelf.collection_id, embedding_function=None).delete(ids=sorted(before)[:3])
    assert (await moved(desk)).state == "succeeded"
    after = holds(desk, await active(desk))
    assert after.keys() == before.keys()
    assert all(np.allclose(after[one], before[one], atol=1e-3) for one in before)


async def test_vectors_that_are_not_what_they_were_are_not_switched_to(desk: Desk, monkeypatch: Any) -> None:
    await brought(desk, note("a.md"), note("b.md", "Something about rivers."))
    store = desk.resources.store_of("pgvector")
    upsert = store.upsert
    monkeypatch.setattr(store, "upsert", lambda shelf, chunks, vectors: upsert(shelf, chunks, np.roll(vectors, 7, axis=1)))
    job = await moved(desk)
    assert (job.state, [error["code"] for error in job.errors]) == ("failed", ["reindex_not_verified"])


async def test_a_store_that_is_away_is_waited_for_and_keeps_no_document_waiting(desk: Desk, monkeypatch: Any) -> None:
    await brought(desk, note("a.md"))
    job, generation = await asked(desk)
    store = desk.resources.store_of("pgvector")

    def away(*_: Any, **__: Any) -> Any:
        raise Unavailable("The vector store does not answer.", code="store_unavailable")

    with monkeypatch.context() as meanwhile:
        for name in ("upsert", "delete_document"):
            meanwhile.setattr(store, name, away)
        for _ in range(desk.settings.jobs.max_attempts + 1):
            await work_on_generation(desk.context, generation)
            await change(desk, leased_until=None)
        await brought(desk, note("b.md", "The word is okapi."))
    assert (await desk.job(job.id)).state == "running"
    await work_on_generation(desk.context, generation)
    assert (await desk.job(job.id)).state == "succeeded"
    assert len(holds(desk, await active(desk))) == 2


async def test_a_worker_that_dies_each_time_before_it_comes_further_ends_it(desk: Desk) -> None:
    await brought(desk, note("a.md"))
    job, generation = await asked(desk)
    reindexing = Reindexing(desk.database, lease_s=30)
    for _ in range(desk.settings.jobs.max_attempts):
        assert await reindexing.take(generation)
        await reindexing.take_back()
    await work_on_generation(desk.context, generation)
    ended = await desk.job(job.id)
    assert (ended.state, [error["code"] for error in ended.errors]) == ("failed", ["interrupted"])


async def test_a_cancelled_move_leaves_the_collection_where_it_was(desk: Desk) -> None:
    await brought(desk, note("a.md"))
    job, generation = await asked(desk)
    lease = await Reindexing(desk.database, lease_s=30).take(generation)
    assert lease is not None
    assert (await cancel(desk.database, SYSTEM, job)).state == "cancelled"
    assert not await Reindexing(desk.database, lease_s=30).advance(lease, done=1)
    with pytest.raises(Conflict):
        await cancel(desk.database, SYSTEM, job)
    await Reindexing(desk.database, lease_s=30).release(lease)
    await work_on_generation(desk.context, generation)
    assert [(row.store, row.state) for row in await generations(desk)] == [("chroma", "active")]
    # one that was kept is kept on
    await moved(desk)
    job, _ = await relocation(desk).go_back(SYSTEM, await desk.collection())
    await cancel(desk.database, SYSTEM, job)
    rows = await generations(desk)
    assert [(row.store, row.state) for row in rows] == [("pgvector", "active"), ("chroma", "kept")]
    assert rows[1].kept_until is not None, "it goes some day"
    assert rows[1].kept_until > utc_now()


async def test_a_former_store_that_is_away_holds_no_document_up_but_an_erasure(desk: Desk, monkeypatch: Any) -> None:
    await brought(desk, note("a.md"))
    await moved(desk)

    def away(*_: Any, **__: Any) -> Any:
        raise Unavailable("The vector store does not answer.", code="store_unavailable")

    monkeypatch.setattr(desk.resources.store_of("chroma"), "delete_document", away)
    await brought(desk, note("b.md", "The word is okapi."))
    assert (await desk.found("okapi"))[0] == "b.md"
    with pytest.raises(Unavailable):
        await desk.library.indexer.forget((await desk.documents())["a.md"])


async def test_where_the_vector_store_finds_words_nothing_is_moved_to_one_that_finds_none(desk: Desk) -> None:
    await brought(desk, note("a.md"))
    settings = desk.settings.model_copy(update={"retrieval": desk.settings.retrieval.model_copy(update={"words": "store"})})
    with pytest.raises(Conflict) as refused:
        await Relocation(settings, desk.database, desk.resources, desk.library.generations).ask(
            SYSTEM, Move(TO_PGVECTOR, names=("papers",))
        )
    assert refused.value.code == "words_in_store"
    await moved(desk)
    found_there = replace(desk.resources, lexical=SimpleNamespace(follows=False), known={})
    with pytest.raises(SettingsError, match="GENAI_RETRIEVAL__WORDS=store: 1 collections are in stores that find no words"):
        await Library.build(desk.settings, desk.database, found_there, desk.queue).generations.begin()


async def test_words_are_found_wherever_a_collection_is_moved_that_finds_them(
    database: Database, settings: Settings, many_models: Models
) -> None:
    url = database.engine.url.render_as_string(hide_password=False).replace("sqlite+aiosqlite", "sqlite")
    with weaviate.serving(weaviate.WeaviateFake()) as there, pinecone.serving(pinecone.PineconeFake()) as hosted:
        retrieval = {"store": "qdrant", "words": "store", "other_stores": ["weaviate", "pinecone"], **there, **hosted}
        made = Settings.load(data_dir=settings.data_dir, database_url=url, models=[AGAIN], retrieval=retrieval)
        async with opened(made, database, many_models) as desk:
            shelf = await brought(desk, note("a.md", "The word is okapi."), note("b.md", "The word is walrus."))

            async def found(query: str, library: Library = desk.library) -> list[str]:
                findings = await library.searcher.find(shelf, query, limit=5, mode="lexical")
                assert not findings.degraded
                return [passage.chunk.document for passage in findings.passages]

            assert await found("okapi") == ["a.md"]
            steps = [Whereabouts("weaviate", None), Whereabouts(None, "again"), Whereabouts("pinecone", None)]
            for number, to in enumerate([*steps, Whereabouts("qdrant", "embeddings")]):
                assert (await moved(desk, to)).state == "succeeded"
                assert (await active(desk)).store == (to.store or "weaviate")
                await brought(desk, note(f"{number}.md", f"The word is ibex{number}."))
                assert [await found("okapi"), await found(f"ibex{number}")] == [["a.md"], [f"{number}.md"]]
                assert await found("walrus") == ["b.md"]
                # a process that has just begun, and has searched nothing yet
                words = StoreWords(desk.resources.opened, "qdrant", known := {})
                begun = replace(desk.resources, lexical=words, known=known)
                library = Library.build(made, desk.database, begun, desk.queue)
                await library.generations.begin()
                assert await found("walrus", library) == ["b.md"]
            document = (await desk.documents())["a.md"]
            await desk.library.indexer.forget(document)
            assert await found("okapi") == []


async def test_a_move_for_all_tenants_is_ended_by_who_may_begin_one(desk: Desk) -> None:
    await brought(desk, note("a.md"))
    job, _ = await relocation(desk).ask(SYSTEM, Move(TO_PGVECTOR, source=TO_CHROMA, everywhere=True))
    owner = replace(SYSTEM, id="key_owner", scopes=frozenset({Scope.RAG_WRITE, Scope.RAG_MANAGE}))
    with pytest.raises(Forbidden):
        await cancel(desk.database, owner, job)
    assert (await cancel(desk.database, SYSTEM, job)).state == "cancelled"


async def test_a_collection_that_is_deleted_is_gone_from_every_generation(desk: Desk) -> None:
    await brought(desk, note("a.md"))
    await moved(desk)
    job, filled = await asked(desk, Whereabouts("pgvector", "again"))
    rows = await generations(desk)
    assert sorted(row.state for row in rows) == ["active", "filling", "kept"]
    lease = await Reindexing(desk.database, lease_s=30).take(filled)
    assert lease is not None
    collection = await desk.collection()
    await desk.library.collections.delete(SYSTEM, "papers")
    assert (await desk.job(job.id)).state == "cancelled"
    assert not await Reindexing(desk.database, lease_s=30).renew(lease)
    assert await _is_there(desk, collection)  # a worker may still write
    await Reindexing(desk.database, lease_s=30).release(lease)
    assert await desk.library.collections.purge(Shelf.of(collection))
    assert not await _is_there(desk, collection)
    assert [holds(desk, row) for row in rows] == [{}, {}, {}]


async def _is_there(desk: Desk, collection: Collection) -> bool:
    async with desk.database.session(all_tenants=True) as session:
        found = await session.exec(select(IndexGeneration).where(IndexGeneration.collection_id == collection.id))
        return found.first() is not None


async def test_all_of_a_store_and_of_all_tenants_moves_at_once(desk: Desk) -> None:
    await brought(desk, note("a.md"))
    acme = Principal("usr_a", "acme", "Ada", Role.ADMIN, ROLE_SCOPES[Role.ADMIN])
    await desk.library.collections.create(acme, "theirs")
    narrow = replace(acme, scopes=ROLE_SCOPES[Role.DEVELOPER])
    with pytest.raises(Forbidden):
        await relocation(desk).ask(narrow, Move(TO_PGVECTOR, source=TO_CHROMA, everywhere=True))
    job, found = await relocation(desk).ask(SYSTEM, Move(TO_PGVECTOR, source=TO_CHROMA, everywhere=True))
    assert len(found) == 2
    for generation in found:
        await work_on_generation(desk.context, generation)
    ended = await desk.job(job.id)
    assert (ended.state, ended.result) == ("succeeded", {"moved": 2})
    job, found = await relocation(desk).ask(SYSTEM, Move(TO_PGVECTOR, source=TO_CHROMA, everywhere=True))
    assert (found, job.state) == ([], JobState.SUCCEEDED)


async def test_what_nobody_can_do_is_refused(desk: Desk) -> None:
    await brought(desk, note("a.md"))
    work = relocation(desk)
    for move, code in (
        (Move(Whereabouts("qdrant", None), names=("papers",)), "store_not_opened"),
        (Move(Whereabouts(None, "default"), names=("papers",)), "unknown_model"),
        (Move(TO_PGVECTOR), "invalid_request"),
    ):
        with pytest.raises(InvalidRequest) as refused:
            await work.ask(SYSTEM, move)
        assert refused.value.code == code
    with pytest.raises(NotFound):
        await work.ask(SYSTEM, Move(TO_PGVECTOR, names=("papers", "nowhere")))
    await asked(desk)
    with pytest.raises(Conflict) as conflict:
        await asked(desk)
    assert conflict.value.code == "being_moved"
    with pytest.raises(InvalidRequest):
        Whereabouts.parse(":", param="to")
    assert Whereabouts.parse(":again", param="to") == Whereabouts(None, "again")
    assert Whereabouts.parse("pgvector:a:b", param="to") == Whereabouts("pgvector", "a:b")


async def test_a_start_refuses_a_store_that_vectors_are_in_and_that_is_not_opened(desk: Desk) -> None:
    await brought(desk, note("a.md"))
    await desk.library.generations.begin()
    await moved(desk)
    without = replace(desk.resources, others={}, known={})
    library = Library.build(desk.settings, desk.database, without, desk.queue)
    with pytest.raises(SettingsError, match=r"GENAI_RETRIEVAL__OTHER_STORES.*pgvector"):
        await library.generations.begin()
