"""Sources, dead letters and held ingestion, over HTTP: one desk, and what it answers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from core.database import Database
from core.principals import SYSTEM
from core.settings import Settings
from core.source_settings import SourceSettings
from core.tables import AuditEvent, Source
from jobs.crawling import crawl_source
from jobs.ingestion import ingest_document
from providers.models import Models
from retrievers.documents import NewDocument
from retrievers.upkeep import Upkeep
from tests.desks import Desk, models, note, opened
from tests.server.test_documents_api import READER, database, refused, serving

__all__ = ["database", "models"]

PAPERS = "/api/v1/rag/collections/papers"
NOISE = bytes(range(256)) * 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder on the server with a file that can be read."""
    root = tmp_path / "docs"
    root.mkdir()
    (root / "a.md").write_text("Puffins nest on the cliff.")
    return root


@pytest.fixture
async def desk(database: Database, settings: Settings, models: Models, folder: Path) -> AsyncIterator[Desk]:
    url = database.engine.url.render_as_string(hide_password=False).replace("sqlite+aiosqlite", "sqlite")
    sources = SourceSettings(folders=(str(folder),))  # type: ignore[arg-type]  # parsed
    configured = Settings.load(data_dir=Path(settings.data_dir), database_url=url, sources=sources)
    async with opened(configured, database, models) as ready:
        yield ready


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(desk) as client:
        assert (await client.post("/api/v1/rag/collections", json={"name": "papers"})).status_code == 201
        yield client


async def worked_off(desk: Desk) -> None:
    while await desk.library.documents.leases.queued(1):
        await ingest_document(desk.context, "", 1)


async def test_a_source_is_made_changed_crawled_held_and_deleted(desk: Desk, client: httpx.AsyncClient, folder: Path) -> None:
    body: dict[str, Any] = {"name": "docs", "kind": "folder", "location": {"path": str(folder)}, "metadata": {"team": "birds"}}
    made = await client.post(f"{PAPERS}/sources", json=body | {"schedule": {"every_minutes": 60}})
    assert made.status_code == 201, made.text
    source, path = made.json(), made.headers["location"]
    assert (source["has_secrets"], source["hint"], source["last_crawl"], source["paused"]) == (False, "", None, False)
    assert source["next_at"]
    assert refused(await client.post(f"{PAPERS}/sources", json=body)) == (409, "already_exists")

    changed = (await client.patch(path, json={"schedule": None, "prune": True, "metadata": {}})).json()
    assert (changed["next_at"], changed["schedule"], changed["prune"], changed["metadata"]) == (None, None, True, {})
    assert (await client.get(f"{PAPERS}/sources")).json() == {"results": [changed], "next_cursor": None}

    assert (await client.post(f"{path}/pause")).json()["paused"] is True
    assert refused(await client.post(f"{path}/crawl")) == (409, "source_paused")
    assert (await client.post(f"{path}/resume")).json()["paused"] is False
    accepted = await client.post(f"{path}/crawl")
    assert (accepted.status_code, (await client.post(f"{path}/crawl")).json()) == (202, accepted.json())
    await crawl_source(desk.context, source["id"])
    await worked_off(desk)
    job = (await client.get(accepted.headers["location"])).json()
    assert (job["state"], job["result"]["new"], job["paused"]) == ("succeeded", 1, False)
    shown = (await client.get(path)).json()
    assert (shown["documents"], shown["last_crawl"]["job_id"], shown["crawl_job_id"]) == ({"ready": 1}, job["id"], None)
    assert refused(await client.post(f"{accepted.headers['location']}/pause")) == (409, "job_finished")

    assert (await client.post(f"{path}/cancel")).status_code == 200
    assert (await client.delete(path, params={"documents": True})).status_code == 204
    assert refused(await client.get(path)) == (404, "source_not_found")
    assert (await client.get(f"{PAPERS}/documents")).json()["results"] == []
    async with desk.database.session(all_tenants=True) as session:
        told = (await session.exec(select(AuditEvent.action).where(col(AuditEvent.action).startswith("source.")))).all()
        assert set(told) == {"source.created", "source.changed", "source.crawled", "source.deleted"}


async def test_secrets_are_sealed_and_never_shown_and_go_with_another_place(
    desk: Desk, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrievers.sources import blobs

    monkeypatch.setattr(blobs, "find_spec", lambda _package: True)
    secret = "zqsecret" + "s" * 32
    body = {"name": "bucket", "kind": "blobs", "location": {"url": "s3://acme/2026"}}
    secrets = {"access_key_id": "KEY-OF-THE-TESTS-123", "secret_access_key": secret}
    made = await client.post(f"{PAPERS}/sources", json=body | {"secrets": secrets})
    assert (made.status_code, made.json()["has_secrets"]) == (201, True)
    assert secret not in made.text
    async with desk.database.session(all_tenants=True) as session:
        row = (await session.exec(select(Source))).one()
    assert secret not in str(row.secrets)
    same = (await client.patch(made.headers["location"], json={"location": {"url": "s3://acme/2026"}})).json()
    assert same["has_secrets"] is True
    moved = (await client.patch(made.headers["location"], json={"location": {"url": "s3://elsewhere"}})).json()
    assert (moved["has_secrets"], moved["hint"]) == (False, "")


async def test_what_makes_no_source_is_refused(client: httpx.AsyncClient, folder: Path) -> None:
    body: dict[str, Any] = {"name": "docs", "kind": "folder", "location": {"path": str(folder)}}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"location": {"path": "/etc"}}, "source_not_allowed"),
        ({"location": {"url": "https://a.example"}}, "invalid_source"),
        ({"kind": "sitemap", "location": {"url": "ftp://a"}}, "invalid_url"),
        ({"kind": "gopher"}, "invalid_source"),
        ({"name": "no name"}, "invalid_request"),
        ({"schedule": {"cron": "x"}}, "invalid_schedule"),
        ({"schedule": {"cron": "* * * * *", "every_minutes": 1}}, "invalid_request"),
        ({"metadata": {"url": "x"}}, "invalid_metadata"),
        ({"metadata": {"page": 1}}, "invalid_metadata"),
        ({"secrets": {"sas_token": "x"}}, "invalid_credential"),
    ]
    for change, code in wrong:
        assert refused(await client.post(f"{PAPERS}/sources", json=body | change)) == (422, code), change
    made = await client.post(f"{PAPERS}/sources", json=body)
    for change in ({}, {"prune": None}, {"location": {"path": "/etc"}}, {"name": "other"}):
        assert refused(await client.patch(made.headers["location"], json=change))[0] == 422, change


async def test_whom_a_collection_is_shared_with_for_reading_changes_no_source(desk: Desk, folder: Path) -> None:
    async with serving(desk) as client:
        await client.post("/api/v1/rag/collections", json={"name": "papers", "shares": [{"with": "tenant", "access": "read"}]})
        body = {"name": "docs", "kind": "folder", "location": {"path": str(folder)}}
        path = (await client.post(f"{PAPERS}/sources", json=body)).headers["location"]
    async with serving(desk, READER) as reader:
        assert (await reader.get(path)).status_code == 200
        for act in ("crawl", "pause", "resume", "cancel"):
            assert (await reader.post(f"{path}/{act}")).status_code == 403, act
        assert (await reader.post(f"{PAPERS}/dead-letters/retry")).status_code == 403
        assert (await reader.post(f"{PAPERS}/pause")).status_code == 403


async def test_dead_letters_are_listed_retried_and_deleted(
    desk: Desk, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrievers.dead_letters._AT_ONCE", 1)
    await desk.add(note("good.md"), NewDocument("noise.bin", NOISE), NewDocument("other.bin", NOISE + b"x"), note("late.md"))
    (late,) = [row for name, row in (await desk.documents()).items() if name == "late.md"]
    for _ in range(desk.settings.jobs.max_attempts):  # its worker is killed each time
        await desk.library.documents.leases.take(late.id, late.revision)
        await desk.library.documents.leases.expire(all_of_them=True)
    await worked_off(desk)
    listed = (await client.get(f"{PAPERS}/dead-letters", params={"limit": 2})).json()
    rest = (await client.get(f"{PAPERS}/dead-letters", params={"cursor": listed["next_cursor"]})).json()["results"]
    letters = {row["name"]: row for row in listed["results"] + rest}
    assert {name: (row["code"], row["attempts"]) for name, row in letters.items()} == {
        "noise.bin": ("unsupported_file_type", 1),
        "other.bin": ("unsupported_file_type", 1),
        "late.md": ("interrupted", desk.settings.jobs.max_attempts),
    }
    everywhere = (await client.get("/api/v1/rag/dead-letters", params={"code": "interrupted"})).json()["results"]
    assert everywhere == [letters["late.md"]]

    again = (await client.post(f"{PAPERS}/dead-letters/retry", json={"documents": [letters["late.md"]["id"]]})).json()
    assert (again["documents"], again["crawl_jobs"], again["left"]) == (1, [], 0)
    await worked_off(desk)
    assert (await desk.job(again["job_id"])).state == "succeeded"
    assert "late.md" in await desk.found("zebra")
    every = (await client.post(f"{PAPERS}/dead-letters/retry")).json()
    await worked_off(desk)
    job = await desk.job(every["job_id"])
    assert (every["documents"], job.state, job.failed) == (2, "failed", 2)
    assert (await desk.documents())["noise.bin"].revision == 2
    nothing = (await client.post(f"{PAPERS}/dead-letters/retry", json={"code": "no_text_found"})).json()
    assert nothing == {"job_id": None, "documents": 0, "crawl_jobs": [], "left": 0}
    unknown = await client.post(f"{PAPERS}/dead-letters/retry", json={"documents": ["doc_1"]})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "dead_letter_not_found")
    assert (await client.delete(f"{PAPERS}/dead-letters", params={"job_id": every["job_id"]})).json() == {"documents": 2}
    assert set(await desk.documents()) == {"good.md", "late.md"}


async def test_a_file_that_never_arrived_is_tried_again_by_its_source(
    desk: Desk, client: httpx.AsyncClient, folder: Path
) -> None:
    with (folder / "large.md").open("wb") as large:
        large.truncate(desk.settings.limits.upload_bytes + 1)
    body = {"name": "docs", "kind": "folder", "location": {"path": str(folder)}}
    source = (await client.post(f"{PAPERS}/sources", json=body)).json()
    await client.post(f"{PAPERS}/sources/{source['id']}/crawl")
    await crawl_source(desk.context, source["id"])
    (letter,) = (await client.get(f"{PAPERS}/dead-letters")).json()["results"]
    assert (letter["code"], letter["stored"], letter["source_id"]) == ("file_too_large", False, source["id"])
    (folder / "large.md").write_text("Now it is small.")
    again = (await client.post(f"{PAPERS}/dead-letters/retry")).json()
    assert (again["job_id"], again["documents"], len(again["crawl_jobs"]), again["left"]) == (None, 0, 1, 0)
    await crawl_source(desk.context, source["id"])
    await worked_off(desk)
    assert (await client.get(f"{PAPERS}/dead-letters")).json()["results"] == []
    assert (await desk.documents())["docs/large.md"].state == "ready"


async def test_a_collection_and_a_job_are_paused_resumed_and_cancelled(desk: Desk, client: httpx.AsyncClient) -> None:
    assert (await client.post(f"{PAPERS}/pause")).json()["paused"] is True
    job, _ = await desk.add(note("a.md"))
    assert await desk.library.documents.leases.take_next() is None
    assert (await client.post(f"{PAPERS}/resume")).json()["paused"] is False
    assert (await client.post(f"/api/v1/jobs/{job.id}/pause")).json()["paused"] is True
    assert await desk.library.documents.leases.take_next() is None
    assert (await client.post(f"/api/v1/jobs/{job.id}/resume")).json()["paused"] is False
    assert (await client.post(f"{PAPERS}/cancel")).json()["documents"]["failed"] == 1
    assert (await desk.job(job.id)).state == "cancelled"
    asked = await Upkeep(desk.database, lease_s=30).ask(SYSTEM, await desk.collection())
    assert refused(await client.post(f"/api/v1/jobs/{asked.id}/pause")) == (409, "not_pausable")
    async with desk.database.session(SYSTEM.tenant) as session:
        told = (await session.exec(select(AuditEvent.action).where(col(AuditEvent.action).startswith("ingestion.")))).all()
    assert sorted(told) == ["ingestion.cancelled", *["ingestion.paused"] * 2, *["ingestion.resumed"] * 2]
