"""The whole application over two tenants: `acme`, and `globex`, in which there is one of everything, with canaries in it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import inspect
from sqlmodel import SQLModel, select

from chains.conversations import Conversations
from chains.messages import Assistant
from chains.messages import User as Said
from core import jobs
from core.alerts.routes import AlertRoutes
from core.database import Database, utc_now
from core.kill_switches.store import KillSwitchStore
from core.ledger.entries import CLASSES
from core.principals import ROLE_SCOPES, SYSTEM, Principal, Role
from core.provider_credentials import ProviderCredentials
from core.settings import Settings
from core.stored_files import BATCH, StoredFiles
from core.tables import (
    AlertDelivery,
    AlertRoute,
    AlertRow,
    Batch,
    BatchRow,
    Budget,
    ClosedMonth,
    CollectionShare,
    CostCentreRule,
    CustomRole,
    DataRequest,
    Document,
    EvalDataset,
    EvalExample,
    EvalResult,
    EvalRun,
    EvalSuite,
    Experiment,
    Exposure,
    Feedback,
    Invoice,
    InvoiceLine,
    Job,
    JobState,
    KillKind,
    LedgerAdjustment,
    LedgerRow,
    MonitorAnomaly,
    MonitorGrade,
    MonitorPoint,
    MonitorSeries,
    MonitorSketch,
    RateLimit,
    RequestOutcome,
    RowState,
    Source,
    Team,
    TeamMember,
    Tenant,
    User,
)
from core.tenancy import THROUGH, own_column
from providers.models import Models
from retrievers.base import Shelf
from server.access.access import Access
from server.access.keys import KeyRights
from server.app import create_app
from server.readiness import Readiness
from server.state import State
from tests.desks import Desk, opened
from tests.fakes.openai import MODEL, OpenAIFake

OURS, THEIRS = "acme", "globex"
#: In every text of theirs that is not an identifier; nobody else writes it.
CANARY = "zqcanary4711"
#: What is written into everything of a tenant's.
MARKS = {OURS: OURS, THEIRS: CANARY}
#: Names that callers choose, the same for both.
COLLECTION, SESSION = "vault", "talk"
#: Identifiers of theirs that no row of another tenant's has a reason to hold.
LEADS = ("document_id", "job_id", "batch_id", "file_id", "key_id", "user_id", "team_id")

#: Rows by table and primary key.
Rows = dict[tuple[str, Any], dict[str, Any]]


@dataclass
class Tenants:
    """`keys` by who holds them; `ids` are theirs, by the name of a parameter or field that takes one, and `own` are the same of
    the other tenant's."""

    app: FastAPI
    desk: Desk
    client: httpx.AsyncClient
    keys: dict[str, str]
    ids: dict[str, str]
    own: dict[str, str]

    def headers(self, who: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[who]}"} if who in self.keys else {}

    async def rows_of_theirs(self) -> Rows:
        """Everything that the database holds of theirs, but for a key's last use and what is on record of who tried."""
        everything = await self._everything()
        kept: Rows = {}
        for table in SQLModel.metadata.sorted_tables:  # what a row hangs on comes before it
            column = own_column(table)
            if table.name in ("audit_events", "audit_heads"):
                continue
            for row in everything.get(table.name, ()):
                parents = {(parent, row[own]) for own, parent in THROUGH.get(table.name, ())}
                if row[column] == THEIRS if column else any((parent, (of,)) in kept for parent, of in parents):
                    kept[table.name, tuple(row[key.name] for key in table.primary_key)] = row
        return kept

    async def _everything(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        async with self.desk.database.session(all_tenants=True) as session:
            for mapper in inspect(Job).registry.mappers:
                rows = (await session.exec(select(mapper.class_))).all()
                found[mapper.local_table.name] = [row.model_dump(exclude={"last_used_at"}) for row in rows]
        return found

    async def rows_that_lead_to_theirs(self) -> list[str]:
        """Rows of others in which an identifier of theirs stands, but for what is on record of who tried."""
        theirs = await self.rows_of_theirs()
        ids = {value for name, value in self.ids.items() if name in LEADS}
        return [
            f"{table}: {row}"
            for table, rows in (await self._everything()).items()
            for row in rows
            if table not in ("audit_events", "audit_heads") and row not in theirs.values()
            if any(each in str(row) for each in ids)
        ]

    async def stored_of_theirs(self) -> tuple[int, list[bytes]]:
        """Their chunks in the vector store, and their files."""
        async with self.desk.database.session(THEIRS) as session:
            document = await session.get_one(Document, self.ids["document_id"])
        keys = (document.file_key, document.text_key, f"files/{self.ids['file_id']}")
        contents = [await self.desk.resources.files.get(key, tenant=THEIRS) for key in keys]
        return self.desk.resources.store.count(Shelf.of(document)), contents


@asynccontextmanager
async def two_tenants(settings: Settings, database: Database) -> AsyncIterator[Tenants]:
    url = database.engine.url.render_as_string(hide_password=False).replace("sqlite+aiosqlite", "sqlite")
    with OpenAIFake() as provider:
        configured = Settings.load(
            data_dir=Path(settings.data_dir),
            database_url=url,
            models=[{"alias": "default", "deployments": [{"provider": "openai", "model": MODEL}]}],
            providers={"openai": {"base_url": provider.base_url, "api_key": "sk-secret"}},
        )
        models = Models(configured)
        async with opened(configured, database, models) as desk:
            access = await Access.open(configured, database)
            keys, ids, own = await _filled(desk, access)
            readiness = Readiness()
            for part in ("application", "database", "broker", "store", "models"):
                readiness.done(part)
            state = State(
                settings=configured,
                readiness=readiness,
                database=database,
                redis_url=desk.redis_url,
                queue=desk.queue,
                access=access,
                models=models,
                library=desk.library,
                conversations=Conversations(database),
            )
            app = create_app(state)
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                yield Tenants(app, desk, client, keys, ids, own)
            state.analyser.close()
        await models.close()


async def _filled(desk: Desk, access: Access) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Makes tenants, keys, and one of everything for the owner among them and for the other tenant."""
    async with desk.database.transaction(all_tenants=True) as session:
        for tenant in (OURS, THEIRS):
            mark = MARKS[tenant]
            session.add(Tenant(id=tenant, name=mark, policies={"note": mark}))
            await session.flush()
            session.add(User(id=f"usr_{tenant}", tenant=tenant, name=mark, email=f"{mark}@example.test"))
            session.add(Team(id=f"team_{tenant}", tenant=tenant, name=mark))
            session.add(CustomRole(tenant=tenant, name=f"role_{tenant}", description=mark, scopes=["chat:invoke"]))
            await session.flush()
            session.add(TeamMember(team_id=f"team_{tenant}", user_id=f"usr_{tenant}"))
    makers = {tenant: replace(SYSTEM, id="maker", tenant=tenant) for tenant in (OURS, THEIRS)}
    keys, ids = {}, {}
    holders: dict[str, tuple[str, KeyRights]] = {
        "owner": (THEIRS, KeyRights(Role.ADMIN)),
        "peer": (THEIRS, KeyRights(Role.DEVELOPER)),
        "reader": (THEIRS, KeyRights(Role.DEVELOPER)),
        "expired": (THEIRS, KeyRights(Role.ADMIN, expires_at=utc_now() - timedelta(seconds=1))),
        "revoked": (THEIRS, KeyRights(Role.ADMIN)),
        "other tenant": (OURS, KeyRights(Role.ADMIN)),
        "spare": (OURS, KeyRights(Role.ADMIN)),
    }
    for who, (tenant, rights) in holders.items():
        told = {"owner", "expired", "revoked"}
        row, keys[who] = await access.keys.create(makers[tenant], CANARY if who in told else who, rights)
        ids[who] = row.id
    await access.keys.revoke(makers[THEIRS], ids["revoked"])
    theirs = await _things(desk, _administrator(ids["owner"], THEIRS), ids["reader"])
    ours = await _things(desk, _administrator(ids["other tenant"], OURS), ids["spare"])
    return keys, theirs, ours | {"key_id": ids["spare"]}


def _administrator(key_id: str, tenant: str) -> Principal:
    return Principal(key_id, tenant, MARKS[tenant], Role.ADMIN, ROLE_SCOPES[Role.ADMIN], key_id=key_id)


async def _things(desk: Desk, owner: Principal, reader: str) -> dict[str, str]:
    tenant, mark = owner.tenant, MARKS[owner.tenant]
    name, session_id = (COLLECTION, SESSION) if tenant == THEIRS else (f"own-{COLLECTION}", f"own-{SESSION}")
    collection = await desk.library.collections.create(owner, name, description=mark)
    document = Document(
        tenant=tenant, collection_id=collection.id, name=f"{mark}.md", content_hash="0" * 64, attributes={"topic": mark}
    )
    document.file_key = f"{collection.id}/{document.id}/original"
    content = f"The combination of the vault is {mark}.".encode()
    await desk.resources.files.put(document.file_key, content, tenant=document.tenant)
    indexed = await desk.library.indexer.index(document)
    document.text_key, document.chunks, document.indexed_revision, document.state = indexed.text_key, indexed.chunks, 1, "ready"
    chats = Conversations(desk.database)
    await chats.append(owner, session_id, [Said(content=f"I am {mark}"), Assistant(content=f"Hello {mark}")])
    content = json.dumps({"custom_id": "1", "body": {"prompt": mark}}).encode()
    files = StoredFiles(desk.database, desk.resources.files)
    file = await files.add(owner, content, name=f"{mark}.jsonl", purpose=BATCH, size=len(content))
    kept = ProviderCredentials(desk.database)
    credential = await kept.add(owner, provider="openai", name=mark, secrets={"api_key": mark})
    await KillSwitchStore(desk.database).put(owner, KillKind.PROVIDER, "bedrock", reason=mark, everywhere=False)
    await desk.resources.files.put(f"exports/{tenant}", content, tenant=tenant)
    source = Source(
        tenant=tenant, collection_id=collection.id, owner=owner.id, principal=owner.to_job(), name=tenant, kind="folder"
    )
    source.location = {"path": f"/srv/{mark}"}
    unread = Document(tenant=tenant, collection_id=collection.id, name=f"{mark}.pdf", content_hash="", state="failed")
    alert_route = AlertRoute(tenant=tenant, name=mark, kind="webhook", least="critical", created_by=owner.id)
    await AlertRoutes(desk.database).add(owner, alert_route, f"https://{mark}.example.com/", f"https://{mark}.example.com/…")
    generation = (await desk.library.generations.current(Shelf.of(collection))).id
    async with desk.database.transaction(tenant) as session:
        session.add(CollectionShare(collection_id=collection.id, kind="user", subject=reader, access="read"))
        job = await jobs.open_job(session, owner, "ingestion", total=1, arguments={"collection": name, "note": mark})
        document.job_id = job.id
        await jobs.tell(session, job, "progress", {"document": {"name": mark}})
        await jobs.end(session, job, JobState.SUCCEEDED)
        exporting = await jobs.open_job(session, owner, "export", total=1, arguments={"user": f"usr_{tenant}"})
        export = DataRequest(
            tenant=tenant,
            job_id=exporting.id,
            kind="export",
            subject=f"usr_{tenant}",
            subject_tenant=tenant,
            file_key=f"exports/{tenant}",
            expires_at=utc_now() + timedelta(days=1),
            finished_at=utc_now(),
        )
        of_batch = await jobs.open_job(session, owner, "batch", total=1, arguments={"note": mark})
        about = {"collection": name, "owner": owner.id, "note": mark}
        of_snapshot = await jobs.open_job(session, owner, "snapshot", total=1, arguments=about)
        snapshot = DataRequest(
            tenant=tenant,
            job_id=of_snapshot.id,
            kind="snapshot",
            subject=collection.id,
            subject_tenant=tenant,
            file_key=f"exports/{tenant}",
            expires_at=utc_now() + timedelta(days=1),
            finished_at=utc_now(),
        )
        batch = Batch(
            tenant=tenant,
            owner=owner.id,
            principal=owner.to_job(),
            endpoint="/api/v1/chat",
            state="in_progress",
            job_id=of_batch.id,
            input_file_id=file.id,
            labels={"note": mark},
            total=1,
            expires_at=utc_now() + timedelta(days=1),
        )
        of_run = await jobs.open_job(session, owner, "evaluation", total=1, arguments={"suite": mark})
        dataset = EvalDataset(
            tenant=tenant, owner=owner.id, name=f"set-{mark}", number=1, digest="0" * 64, source="upload", examples=1
        )
        metric = {"name": "exact_match", "options": {}, "label": ""}
        definition = json.dumps({"name": mark, "dataset": f"set-{mark}", "metrics": [metric]}).encode()
        suite = EvalSuite(tenant=tenant, owner=owner.id, name=mark, definition=definition)
        run = EvalRun(
            tenant=tenant,
            owner=owner.id,
            principal=owner.to_job(),
            suite=mark,
            dataset_id=dataset.id,
            dataset_digest="0" * 64,
            capability="chat",
            alias="default",
            definition=definition,
            state="succeeded",
            job_id=of_run.id,
            total=1,
        )
        budget = Budget(tenant=tenant, name=mark, window="month", limit_tokens=10**9, mode="soft", created_by=owner.id)
        rate = RateLimit(tenant=tenant, name=mark, requests=10**9, created_by=owner.id)
        moments = dict.fromkeys(("first_seen", "last_seen", "told_at"), utc_now())
        told = {"kind": "spend_spike", "severity": "warning", "facts": {"note": mark}}
        alert = AlertRow(tenant=tenant, key=tenant, **told, **moments)
        notice = AlertDelivery(tenant=tenant, route_id=alert_route.id, created_at=utc_now(), next_at=utc_now())
        notice.body, notice.state = {"type": mark}, "failed"
        variants = [{"name": "control", "version": 1}, {"name": "new", "version": 1}]
        experiment = Experiment(tenant=tenant, name=f"experiment-{tenant}", alias="default", created_by=owner.id)
        experiment.definition = {"variants": variants}
        exposure = {"id": f"{experiment.id}/0/{tenant}", "experiment_id": experiment.id, "variant": 0, "unit": tenant}
        exposed = Exposure(tenant=tenant, first_at=utc_now(), **exposure)
        ended_so = RequestOutcome(tenant=tenant, at=utc_now(), request_id=tenant, alias="default", version="1-a", unit=tenant)
        ended_so.status, ended_so.http_status = "ok", 200
        judged = Feedback(tenant=tenant, request_id=tenant, principal=owner.id, score=1.0, comment=mark.encode())
        rule = CostCentreRule(tenant=tenant, centre=mark, kind="tag", name="team", value=mark)
        adjustment = LedgerAdjustment(
            tenant=tenant, at=utc_now(), cost_usd=Decimal(1), reason=mark, alias=mark, created_by=owner.id
        )
        nothing = {f"{name}_tokens": 0 for name in CLASSES}
        called = {"request_id": tenant, "principal": owner.id, "alias": "default", "provider": "openai", "model": "m"}
        ended = {"status": "ok", "price_basis": "exact", "price_source": "settings", "estimated": False, "latency_ms": 1.0}
        session.add(LedgerRow(tenant=tenant, at=utc_now(), capability="chat", session_id=mark, **called, **ended, **nothing))
        series = {"tenant": tenant, "series": tenant, "alias": "default", "provider": "openai", "model": "m"}
        levels = {"metric": "latency_ms", "before": 1.0, "after": 2.0, "sigmas": 9.0, "kind": "step", "state": "open"}
        times = {"since": utc_now(), "seen_at": utc_now()}
        anomaly = MonitorAnomaly(id=f"anomaly_of_{tenant}_alone", **series, **levels, **times)
        asked = {"collection_id": tenant, "questions": 1, "topics": [1], "nearness": [1]}
        session.add(MonitorPoint(**series, at=utc_now(), calls=1, good=1, answers=1))
        session.add(MonitorSeries(tenant=tenant, series=tenant, through=utc_now(), detectors={"note": mark}))
        session.add(MonitorSketch(tenant=tenant, model="m", at=utc_now(), **asked))
        named = {name: series[name] for name in ("tenant", "alias", "provider", "model")}
        session.add(MonitorGrade(message_id=f"msg_{tenant}", at=utc_now(), metric="regex", value=1.0, **named))
        session.add(anomaly)
        days = {"begins": date(2026, 1, 1), "ends": date(2026, 1, 1)}
        invoice = Invoice(tenant=tenant, provider=mark, number=mark, cost_usd=Decimal(1), created_by=owner.id, **days)
        closed = ClosedMonth(tenant=tenant, month="2026-01", cost_usd=Decimal(1), attempts=1, unpriced=0, created_by=owner.id)
        session.add_all([experiment, exposed, ended_so, judged])
        session.add_all(
            [
                document,
                unread,
                source,
                batch,
                dataset,
                suite,
                run,
                export,
                snapshot,
                budget,
                rate,
                alert,
                notice,
                rule,
                adjustment,
                invoice,
                closed,
            ]
        )
        await session.flush()
        row = {"batch_id": batch.id, "number": 1, "custom_id": mark, "position": 0, "length": 1}
        session.add(InvoiceLine(invoice_id=invoice.id, day=date(2026, 1, 1), model=mark, cost_usd=Decimal(1)))
        example = {"id": "1", "input": {"text": mark}, "expected": None, "context": [], "labels": {}}
        outcome = {"output": mark, "answer": {}, "error": None, "cost_usd": None, "latency_s": None, "first_token_s": None}
        outcome |= {"input_tokens": None, "output_tokens": None}
        kept = json.dumps({"example": example, "outcome": outcome}).encode()
        session.add(EvalExample(dataset_id=dataset.id, number=1, content=json.dumps(example).encode()))
        session.add(EvalResult(run_id=run.id, number=1, example_id="1", state="scored", outcome=kept))
        session.add(BatchRow(**row, state=RowState.ANSWERED.value, result=json.dumps({"answer": mark}).encode()))
    return {
        "collection": name,
        "document_id": document.id,
        "generation_id": generation,
        "session_id": session_id,
        "job_id": job.id,
        "batch_id": batch.id,
        "export_id": export.id,
        "snapshot_id": snapshot.id,
        "file_id": file.id,
        "dataset_id": dataset.id,
        "suite_name": mark,
        "run_id": run.id,
        "key_id": owner.id,
        "credential_id": credential.id,
        "source_id": source.id,
        "budget_id": budget.id,
        "rate_limit_id": rate.id,
        "alert_id": alert.id,
        "alert_route_id": alert_route.id,
        "rule_id": rule.id,
        "experiment": experiment.name,
        "experiment_id": experiment.id,
        "request_id": tenant,
        "invoice_id": invoice.id,
        "anomaly_id": anomaly.id,
        "user_id": f"usr_{tenant}",
        "team_id": f"team_{tenant}",
        "tenant": tenant,
        "role": f"role_{tenant}",
    }
