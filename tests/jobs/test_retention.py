"""What is past its time goes, what is not stays; a tenant may have less time than the deployment gives, never more."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select, update

from core import audit
from core.audit.chain import append
from core.audit.events import Event
from core.batches import Batches
from core.context import RequestContext, serving
from core.data_requests import open_request
from core.database import Database, utc_now
from core.jobs import end, open_job
from core.keys import Hasher, load_secret
from core.policies.policy import Policy
from core.policies.retention import RetentionPolicy
from core.policies.store import Policies
from core.principals import SYSTEM
from core.settings import Settings
from core.stored_files import BATCH, StoredFiles
from core.tables import (
    AuditEvent,
    Batch,
    BatchState,
    Conversation,
    ConversationMessage,
    DataRequest,
    DataRequestKind,
    Document,
    EvalDataset,
    EvalRun,
    IdempotencyRecord,
    Job,
    JobState,
    RequestOutcome,
    RunState,
    StoredFile,
    Tenant,
)
from evals.base import Example
from evals.datasets import SESSIONS, Datasets
from evals.runs import Runs
from evals.suites import suite_of
from jobs.retention import Retention
from tests.desks import Desk, note


async def old(database: Database, model: Any, column: str, days: float, *conditions: Any) -> None:
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(model).where(*conditions).values(**{column: utc_now() - timedelta(days=days)}))


async def ids(database: Database, model: Any) -> set[str]:
    async with database.session(all_tenants=True) as session:
        return set((await session.exec(select(model.id))).all())


def by(desk: Desk, **periods: Any) -> Retention:
    """Retention by these periods of the deployment."""
    policies = Policies(Policy(retention=RetentionPolicy(**periods)))
    desk.resources.models.policies = policies
    return Retention(desk.context)


@pytest.fixture(autouse=True)
def own_policies(desk: Desk) -> Any:
    """The models are shared by the session's tests."""
    before = desk.resources.models.policies
    yield
    desk.resources.models.policies = before


async def conversation(database: Database, name: str, tenant: str = "default") -> str:
    async with database.transaction(all_tenants=True) as session:
        chat = Conversation(tenant=tenant, owner="x", name=name)
        session.add(chat)
        await session.flush()
        session.add(ConversationMessage(conversation_id=chat.id, position=0, role="user"))
    return chat.id


async def test_conversations_go_by_their_last_message_and_each_tenant_may_have_less_time(desk: Desk) -> None:
    database = desk.database
    async with database.transaction(all_tenants=True) as session:
        session.add(Tenant(id="acme", name="acme", policies={"retention": {"conversations_days": 2}}))
        session.add(Tenant(id="more", name="more", policies={"retention": {"conversations_days": 50}}))
    made = {
        (tenant, days): await conversation(database, f"{days}", tenant)
        for tenant in ("default", "acme", "more")
        for days in (1, 5, 40)
    }
    for (_, days), one in made.items():
        await old(database, Conversation, "updated_at", days, Conversation.id == one)
    retention = by(desk, conversations_days=30)
    await desk.resources.models.policies.load(database)
    done = await retention.apply()
    assert {tenant: (done[tenant]["conversations"], done[tenant]["messages"]) for tenant in done} == {
        "default": (1, 1),
        "acme": (2, 2),
        "more": (1, 1),
    }
    kept = {made[key] for key in (("default", 1), ("default", 5), ("acme", 1), ("more", 1), ("more", 5))}
    assert await ids(database, Conversation) == kept
    async with database.session(all_tenants=True) as session:
        events = (await session.exec(select(AuditEvent).where(AuditEvent.action == "retention.applied"))).all()
    assert {event.tenant: event.details for event in events}["acme"] == {"conversations": 2, "messages": 2}
    assert sum((await retention.apply())["acme"].values()) == 0


async def test_without_a_period_nothing_goes(desk: Desk) -> None:
    one = await conversation(desk.database, "old")
    await old(desk.database, Conversation, "updated_at", 3000)
    await by(desk).apply()
    assert await ids(desk.database, Conversation) == {one}


async def test_batches_go_with_their_files_and_uploads_that_no_batch_uses(desk: Desk) -> None:
    database, files = desk.database, StoredFiles(desk.database, desk.resources.files)
    rows = {}
    for name in ("both", "one", "output", "unused", "new"):
        rows[name] = await files.add(SYSTEM, b"x", name=name, purpose=BATCH, size=1)
    made, new = Batches(database), {"endpoint": "/api/v1/chat"}
    batches = [await made.create(SYSTEM, input_file=rows[name], **new) for name in ("both", "both", "one")]
    past, running, gone = (batch.id for batch in batches)
    async with database.transaction(all_tenants=True) as session:
        ended = {"state": BatchState.COMPLETED.value, "ended_at": utc_now() - timedelta(days=8)}
        await session.exec(update(Batch).where(col(Batch.id).in_([past, gone])).values(**ended))
        await session.exec(update(Batch).where(col(Batch.id) == gone).values(output_file_id=rows["output"].id))
    await old(database, StoredFile, "created_at", 8, StoredFile.id != rows["new"].id)
    done = await by(desk, batches_days=7, uploads_days=7).apply()
    assert await ids(database, Batch) == {running}
    assert await ids(database, StoredFile) == {rows["both"].id, rows["new"].id}
    assert (done["default"]["batches"], done["default"]["files"], done["default"]["uploads"]) == (2, 2, 1)
    there = {name: await desk.resources.files.exists(row.key) for name, row in rows.items()}
    assert there == {"both": True, "one": False, "output": False, "unused": False, "new": True}


async def test_runs_of_evaluations_go_in_their_time_and_what_sessions_gave_where_nothing_is_kept(desk: Desk) -> None:
    database, datasets, runs = desk.database, Datasets(desk.database), Runs(desk.database)
    suite = suite_of({"name": "s", "dataset": "up", "metrics": ["exact_match"]})
    up = await datasets.add(SYSTEM, "up", [Example("1", {"text": "a"})])
    said = await datasets.add(SYSTEM, "said", [Example("1", {"text": "b"})], source=SESSIONS, subjects=["usr_x"])
    made = [(await runs.create(SYSTEM, suite, up, version="1")).id for _ in ("past", "new", "open")]
    async with database.transaction(all_tenants=True) as session:
        for run_id, days in zip(made, (8, 6), strict=False):
            ended = {"state": RunState.SUCCEEDED.value, "ended_at": utc_now() - timedelta(days=days)}
            await session.exec(update(EvalRun).where(col(EvalRun.id) == run_id).values(**ended))
            told = {"alias": "default", "version": "2-", "unit": "u", "status": "ok", "http_status": 200}
            session.add(RequestOutcome(request_id=run_id, tenant=SYSTEM.tenant, at=ended["ended_at"], **told))
    done = await by(desk, evaluations_days=7).apply()
    assert (done["default"]["request_outcomes"], len(await ids(database, RequestOutcome))) == (1, 1)
    assert await ids(database, EvalRun) == set(made[1:])
    assert (done["default"]["evaluations"], done["default"]["evaluation_results"]) == (1, 1)
    assert await ids(database, EvalDataset) == {up.id, said.id}
    await by(desk, none=True).apply()
    assert (await ids(database, EvalRun), await ids(database, EvalDataset)) == ({made[2]}, {up.id})


async def test_jobs_answers_and_exports_go_in_their_time(desk: Desk) -> None:
    database, made = desk.database, {}
    async with database.transaction(all_tenants=True) as session:
        for name in ("old", "new", "open", "exported"):
            made[name] = await open_job(session, SYSTEM, "ingestion", total=1)
            if name != "open":
                await end(session, made[name], JobState.SUCCEEDED)
        request, _ = await open_request(session, SYSTEM, DataRequestKind.EXPORT, subject="x", subject_tenant="default")
        request.job_id, request.file_key, request.expires_at = made["exported"].id, f"exports/{request.id}", utc_now()
        for name, body in (("kept", b"{}"), ("late", b"{}")):
            record = IdempotencyRecord(id=name, tenant="default", fingerprint="f", status=200, body=body, expires_at=utc_now())
            record.expires_at += timedelta(days=1)
            session.add(record)
    await desk.resources.files.put(f"exports/{request.id}", b"zip", tenant="default")
    await old(database, Job, "finished_at", 91, col(Job.id).in_([made["old"].id, made["exported"].id]))
    await old(database, IdempotencyRecord, "created_at", 0.6, IdempotencyRecord.id == "late")
    await by(desk, jobs_days=90, idempotency_days=0.5).apply()
    assert not await desk.resources.files.exists(f"exports/{request.id}")
    assert await ids(database, IdempotencyRecord) == {"kept"}
    await by(desk, jobs_days=90).apply()
    assert made["new"].id in await ids(database, Job)
    assert made["open"].id in await ids(database, Job)
    assert not {made["old"].id, made["exported"].id} & await ids(database, Job)
    assert await ids(database, DataRequest) == set()


async def test_documents_go_when_a_period_is_set_but_for_the_platforms_own(desk: Desk) -> None:
    job, documents = await desk.add(note("a.md"), note("b.md"))
    async with desk.database.transaction(all_tenants=True) as session:
        own = await desk.collection("papers")
        own.owner = "usr_x"
        session.add(own)
    handbook, theirs = await desk.add(note("handbook.md"), collection="handbook")
    with desk.worker():
        await desk.finished(job.id)
        await desk.finished(handbook.id)
    await old(desk.database, Document, "content_at", 10, Document.id != documents[1].id)
    done = await by(desk, documents_days=5).apply()
    assert done["default"]["documents"] == 1
    assert await ids(desk.database, Document) == {documents[1].id, theirs[0].id}
    assert await desk.stored_chunks() == 1


async def test_where_nothing_is_kept_what_was_kept_before_goes(desk: Desk) -> None:
    await conversation(desk.database, "s")
    files = StoredFiles(desk.database, desk.resources.files)
    await files.add(SYSTEM, b"x", name="x", purpose=BATCH, size=1)
    job, _ = await desk.add(note("a.md"))
    with desk.worker():
        await desk.finished(job.id)
    await by(desk, none=True).apply()
    assert await ids(desk.database, Conversation) == await ids(desk.database, StoredFile) == set()
    assert await desk.stored_chunks() == 1  # what is brought into collections stays


async def test_network_addresses_leave_the_record_which_stays_whole(desk: Desk) -> None:
    settings = Settings.load(
        data_dir=desk.settings.data_dir, database_url=desk.settings.database_url, retention={"audit_address_days": 30}
    )
    context = desk.context.__class__(settings, desk.database, desk.queue, desk.library)
    with serving(RequestContext("r", SYSTEM, address="192.0.2.7")):
        async with desk.database.transaction(all_tenants=True) as session:
            await audit.record(session, audit.Action.KEY_CREATED)

    async def addresses() -> list[str | None]:
        async with desk.database.session(all_tenants=True) as session:
            return list((await session.exec(select(AuditEvent.address).where(AuditEvent.action == "key.created"))).all())

    await Retention(context).apply()
    assert await addresses() == ["192.0.2.7"]
    async with desk.database.transaction(all_tenants=True) as session:
        erased = await audit.erase_addresses(session, "default", before=utc_now() + timedelta(seconds=1))
    assert erased == 1
    assert await addresses() == [None]


async def test_erased_addresses_are_on_record_with_their_erasure_alone(desk: Desk) -> None:
    settings = Settings.load(
        data_dir=desk.settings.data_dir, database_url=desk.settings.database_url, retention={"audit_address_days": 30}
    )
    old = Event(
        *("default", utc_now() - timedelta(days=31), audit.Action.KEY_CREATED, audit.Outcome.SUCCESS, SYSTEM.id),
        *(None, None, "192.0.2.7", None, {}),
    )
    async with desk.database.transaction(all_tenants=True) as session:
        await (await session.connection()).run_sync(append, Hasher(load_secret(desk.settings)), [old])
    done = await Retention(desk.context.__class__(settings, desk.database, desk.queue, desk.library)).apply()
    assert done["default"]["audit_addresses"] == 1
    async with desk.database.session(all_tenants=True) as session:
        rows = (await session.exec(select(AuditEvent.action, AuditEvent.object_id, AuditEvent.details))).all()
    told = [(object_id, sorted(details)) for action, object_id, details in rows if action == "audit.addresses_erased"]
    assert told == [("default", ["addresses", "before"])]
    assert not any("audit_addresses" in details for _, _, details in rows)


async def test_what_a_killed_process_left_opened_is_swept(desk: Desk) -> None:
    left = desk.settings.path("scratch", "0123456789abcdef", "export-1", "export.zip")
    left.write_bytes(b"canary")
    await by(desk).apply()
    assert not left.exists()
