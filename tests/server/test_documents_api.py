"""Collections, documents, search and jobs over HTTP, on a real server with a real worker."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any

import httpx
import pytest
import uvicorn
from sqlmodel import col, select

from chains.conversations import Conversations
from chains.retrieval.retrieval import Retrieval
from chains.spec import ChainDeps
from core.database import Database
from core.principals import ROLE_SCOPES, SYSTEM, Principal, Role
from core.settings import RequestLimits, Settings
from core.tables import AuditEvent
from retrievers.holds import of_job
from tests.desks import Desk, desk, eventually, job_settings, models, note
from tests.server.serving import platform

__all__ = ["desk", "job_settings", "models"]

PAPERS = "/api/v1/rag/collections/papers"
NEIGHBOUR = replace(SYSTEM, id="neighbour", tenant="next-door")
READER = Principal("reader", SYSTEM.tenant, "reader", Role.USER, ROLE_SCOPES[Role.USER])

BAD_DOCUMENTS: list[tuple[Any, int, str]] = [
    ({"documents": []}, 422, "invalid_request"),
    ({"documents": [{"name": "a"}]}, 422, "invalid_request"),
    ({"documents": [{"text": "a"}]}, 422, "invalid_request"),
    ({"documents": [{"name": "a", "text": "a", "url": "http://a.example"}]}, 422, "invalid_request"),
    ({"documents": [{"name": "a", "url": "file:///etc/passwd"}]}, 422, "invalid_url"),
    ({"documents": [{"name": "a", "url": "http://[::1"}]}, 422, "invalid_url"),
    ({"documents": [{"name": " ", "text": "a"}]}, 422, "invalid_name"),
    ({"documents": [{"name": "a\nb", "text": "a"}]}, 422, "invalid_name"),
    ({"documents": [{"name": "ä" * 501, "text": "a"}]}, 422, "invalid_name"),
    ({"documents": [{"name": "n" * 1001, "text": "a"}]}, 422, "invalid_name"),
    ({"documents": [{"name": "a", "text": "a"}, {"name": "a", "text": "b"}]}, 422, "duplicate_name"),
    ({"documents": [{"name": "a", "text": ""}]}, 422, "empty_file"),
    ({"documents": [{"name": "a", "text": "a", "metadata": {"page": 3}}]}, 422, "invalid_metadata"),
    ({"documents": [{"name": "a", "text": "a", "metadata": {"a": {"b": 1}}}]}, 422, "invalid_request"),
    ({"documents": [{"name": f"{number}", "text": "a"} for number in range(201)]}, 413, "too_many_documents"),
    ([], 422, "invalid_request"),
    ("x", 422, "invalid_request"),
]
BAD_FORMS: list[tuple[dict[str, str], bytes, int, str]] = [
    ({"content-type": "multipart/form-data"}, b"--x", 422, "malformed_form"),
    ({"content-type": "multipart/form-data; boundary=x"}, b"nothing of it", 422, "malformed_form"),
    ({"content-type": "multipart/form-data; boundary=x"}, b"--x--\r\n", 422, "no_documents"),
    (
        {"content-type": "multipart/form-data; boundary=x"},
        b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\ntext\r\n--x--\r\n',
        422,
        "invalid_form",
    ),
    (
        {"content-type": "multipart/form-data; boundary=x"},
        b'--x\r\nContent-Disposition: form-data; name="files"; filename=""\r\n\r\ntext\r\n--x--\r\n',
        422,
        "invalid_name",
    ),
    ({"content-type": "text/csv"}, b"a,b", 415, "unsupported_media_type"),
]
BAD_SEARCHES: list[dict[str, Any]] = [
    {},
    {"query": ""},
    {"query": "  "},
    {"query": "a", "limit": 0},
    {"query": "a", "limit": 101},
    {"query": 7},
    {"query": "a", "mode": "psychic"},
    {"query": "a", "filter": {"a": [1]}},
    {"query": "a", "filter": "x"},
    {"query": "a" * 9000},
]


@asynccontextmanager
async def serving(desk: Desk, principal: Principal = SYSTEM, **limits: int) -> AsyncIterator[httpx.AsyncClient]:
    settings = desk.settings.model_copy(update={"limits": RequestLimits(**limits)})
    models: Any = desk.resources.models
    deps = ChainDeps(settings=settings, models=models, library=desk.library, conversations=Conversations(desk.database))
    app = platform(
        settings, principal=principal, database=desk.database, library=desk.library, retrieval=Retrieval(deps), models=models
    )
    for name in ("collections", "documents", "sources", "dead_letters", "search", "jobs"):
        app.include_router(import_module(f"server.routes.{name}").router)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    running = asyncio.create_task(server.serve([listener]))
    try:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=address, timeout=30, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        await running


@pytest.fixture
async def database(prepared: Settings) -> AsyncIterator[Database]:
    """SQLite alone: what differs between the databases lies below the routes, and is tested there."""
    opened = Database(prepared)
    yield opened
    await opened.close()


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    """With a collection `papers`, and no worker."""
    async with serving(desk) as client:
        assert (await client.post("/api/v1/rag/collections", json={"name": "papers"})).status_code == 201
        yield client


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def events_of(body: str) -> list[tuple[int, str, Any]]:
    events = []
    for block in body.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return events


async def test_a_collection_is_made_listed_changed_and_deleted(client: httpx.AsyncClient) -> None:
    made = await client.post("/api/v1/rag/collections", json={"name": "a-1", "description": "first"})
    assert (made.status_code, made.headers["location"]) == (201, "/api/v1/rag/collections/a-1")
    assert made.json()["documents"] == {"total": 0, "queued": 0, "processing": 0, "ready": 0, "failed": 0}
    assert refused(await client.post("/api/v1/rag/collections", json={"name": "a-1"})) == (409, "already_exists")
    first = (await client.get("/api/v1/rag/collections", params={"limit": 1})).json()
    rest = (await client.get("/api/v1/rag/collections", params={"limit": 1, "cursor": first["next_cursor"]})).json()
    assert [item["name"] for item in first["results"] + rest["results"]] == ["a-1", "papers"]
    assert rest["next_cursor"] is None
    changed = await client.patch("/api/v1/rag/collections/a-1", json={"description": "second"})
    assert changed.json()["description"] == "second"
    assert (await client.delete("/api/v1/rag/collections/a-1")).status_code == 204
    assert refused(await client.get("/api/v1/rag/collections/a-1")) == (404, "collection_not_found")


async def test_what_comes_and_goes_is_on_record_by_identifier(desk: Desk, client: httpx.AsyncClient) -> None:
    accepted = await client.post(f"{PAPERS}/documents", json={"documents": [{"name": "Maria Schmidt.md", "text": "zebra"}]})
    document = accepted.json()["documents"][0]["id"]
    collection = (await client.get(PAPERS)).json()["id"]
    for path in (f"{PAPERS}/documents/{document}", PAPERS):
        assert (await client.delete(path)).status_code == 204
    async with desk.database.session(all_tenants=True) as session:
        rows = (await session.exec(select(AuditEvent).order_by(col(AuditEvent.number)))).all()
    deletions = [row for row in rows if row.action.endswith(".deleted")]
    assert [(row.action, row.object_id, row.actor) for row in deletions] == [
        ("document.deleted", document, SYSTEM.id),
        ("collection.deleted", collection, SYSTEM.id),
    ]
    (added,) = [row for row in rows if row.action == "document.added"]
    assert (added.object_id, added.details) == (collection, {"job": accepted.json()["job_id"], "documents": 1})
    assert "Maria" not in repr([row.model_dump() for row in rows])


async def test_a_bad_name_of_a_collection_is_refused(client: httpx.AsyncClient) -> None:
    for name in ("", "A", "a b", "../x", "a" * 64, "-a", "ä", "a\n", 7, None):
        assert (await client.post("/api/v1/rag/collections", json={"name": name})).status_code == 422, name


async def test_files_are_uploaded_read_searched_and_downloaded(desk: Desk, client: httpx.AsyncClient) -> None:
    large = b"The harbour master speaks Norwegian. " * 10_000
    files = [("files", ("docs/große.md", b"# Birds\n\nPuffins nest.")), ("files", ("large.txt", large))]
    accepted = await client.post(f"{PAPERS}/documents", files=files, data={"metadata": '{"year": 2024}'})
    assert accepted.status_code == 202
    job_id, documents = accepted.json()["job_id"], accepted.json()["documents"]
    assert [document["name"] for document in documents] == ["docs/große.md", "large.txt"]
    assert accepted.headers["location"] == f"/api/v1/jobs/{job_id}"
    await client.delete(f"{PAPERS}/documents/{documents[1]['id']}")  # it would take long to read
    with desk.worker():
        await desk.finished(job_id)
    row = (await client.get(f"{PAPERS}/documents/{documents[0]['id']}")).json()
    assert (row["state"], row["searchable"], row["metadata"], row["error"]) == ("ready", True, {"year": 2024}, None)
    assert row["media_type"] == "text/markdown"
    found = (await client.post(f"{PAPERS}/search", json={"query": "puffins", "filter": {"year": 2024}})).json()["results"]
    misspelt = (await client.post(f"{PAPERS}/search", json={"query": "puffins", "filter": {"yaer": 2024}})).json()
    assert misspelt["results"] == []
    assert "“yaer”" in misspelt["warnings"][0]
    assert "“year”, “media_type”, “title”, “document”" in misspelt["warnings"][0]
    other = (await client.post(f"{PAPERS}/search", json={"query": "puffins", "filter": {"year": 1066}})).json()
    assert (other["results"], other["warnings"]) == ([], [])
    later = {"query": "puffins", "filter": {"year": {"gte": 2020, "lt": 2030}, "not": {"document": {"contains": "small"}}}}
    assert (await client.post(f"{PAPERS}/search", json=later)).json()["results"] == found
    wrong = (await client.post(f"{PAPERS}/search", json={"query": "puffins", "filter": {"year": {"above": 2020}}})).json()
    assert (wrong["error"]["code"], wrong["error"]["param"]) == ("invalid_filter", "filter")
    assert "“above” is no operator; there are eq, ne, lt" in wrong["error"]["message"]
    unknown = {"query": "puffins", "filter": {"year": 1066, "or": [{"yaer": 2024}, {"yare": {"gt": 1}}]}}
    assert len((await client.post(f"{PAPERS}/search", json=unknown)).json()["warnings"]) == 2
    text = (await client.get(f"{PAPERS}/documents/{documents[0]['id']}/text")).text
    assert [text[item["start"] : item["end"]] for item in found] == [item["text"] for item in found] != []
    original = await client.get(f"{PAPERS}/documents/{documents[0]['id']}/original")
    assert original.content == b"# Birds\n\nPuffins nest."
    assert original.headers["content-disposition"] == "attachment; filename*=UTF-8''gro%C3%9Fe.md"
    assert original.headers["x-content-type-options"] == "nosniff"


async def test_documents_are_listed_page_by_page_and_by_state(desk: Desk, client: httpx.AsyncClient) -> None:
    await desk.add(*(note(f"{number}.md") for number in range(5)))
    names: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        body = (await client.get(f"{PAPERS}/documents", params=params)).json()
        names += [item["name"] for item in body["results"]]
        cursor = body["next_cursor"]
        if cursor is None:
            break
    assert names == [f"{number}.md" for number in range(5)]
    assert (await client.get(f"{PAPERS}/documents", params={"state": "ready"})).json()["results"] == []
    only = (await client.get(f"{PAPERS}/documents", params={"name": "3.md"})).json()["results"]
    assert [item["name"] for item in only] == ["3.md"]
    assert refused(await client.get(f"{PAPERS}/documents", params={"cursor": "!!"})) == (422, "invalid_cursor")


async def test_bad_documents_are_refused_whole(desk: Desk, client: httpx.AsyncClient) -> None:
    for body, status, code in BAD_DOCUMENTS:
        assert refused(await client.post(f"{PAPERS}/documents", json=body)) == (status, code), str(body)[:100]
    assert await desk.documents() == {}


async def test_a_bad_form_is_refused(client: httpx.AsyncClient) -> None:
    for headers, body, status, code in BAD_FORMS:
        assert refused(await client.post(f"{PAPERS}/documents", headers=headers, content=body)) == (status, code), body


async def test_too_many_and_too_large_uploads_are_refused(desk: Desk, client: httpx.AsyncClient) -> None:
    async with serving(desk, files_per_upload=2, upload_bytes=10_000) as narrow:
        three = [("files", (f"{number}.txt", b"a")) for number in range(3)]
        assert refused(await narrow.post(f"{PAPERS}/documents", files=three)) == (413, "too_many_documents")
        large = [("files", ("a.txt", b"a" * 20_000))]
        assert refused(await narrow.post(f"{PAPERS}/documents", files=large)) == (413, "body_too_large")
    assert await desk.documents() == {}


async def test_what_is_another_tenants_is_not_found(desk: Desk, client: httpx.AsyncClient) -> None:
    job, (document,) = await desk.add(note("a.md"))
    async with serving(desk, NEIGHBOUR) as neighbour:
        for path in (
            PAPERS,
            f"{PAPERS}/documents",
            f"{PAPERS}/documents/{document.id}",
            f"{PAPERS}/documents/{document.id}/text",
        ):
            assert refused(await neighbour.get(path)) == (404, "collection_not_found")
        for path in (f"/api/v1/jobs/{job.id}", f"/api/v1/jobs/{job.id}/events"):
            assert refused(await neighbour.get(path)) == (404, "job_not_found")
        assert refused(await neighbour.post(f"/api/v1/jobs/{job.id}/cancel")) == (404, "job_not_found")
        assert refused(await neighbour.post(f"{PAPERS}/search", json={"query": "zebra"})) == (404, "collection_not_found")
        assert (await neighbour.get("/api/v1/jobs")).json()["results"] == []
        await neighbour.post("/api/v1/rag/collections", json={"name": "papers"})
        assert refused(await neighbour.get(f"{PAPERS}/documents/{document.id}")) == (404, "document_not_found")
        assert refused(await neighbour.delete(f"{PAPERS}/documents/{document.id}")) == (404, "document_not_found")
    assert list(await desk.documents()) == ["a.md"]


async def test_who_may_read_may_not_write(desk: Desk, client: httpx.AsyncClient) -> None:
    job, (document,) = await desk.add(note("a.md"))
    everybody = {"shares": [{"with": "tenant", "access": "read"}]}
    assert (await client.put(f"{PAPERS}/shares", json=everybody)).status_code == 200
    async with serving(desk, READER) as reader:
        assert (await reader.get(f"{PAPERS}/documents/{document.id}")).status_code == 200
        for method, path in (
            ("POST", "/api/v1/rag/collections"),
            ("POST", f"{PAPERS}/documents"),
            ("DELETE", f"{PAPERS}/documents/{document.id}"),
            ("PATCH", PAPERS),
            ("DELETE", PAPERS),
            ("POST", f"/api/v1/jobs/{job.id}/cancel"),
        ):
            body = {"name": "x", "description": "x", "documents": []} if method != "DELETE" else None
            assert refused(await reader.request(method, path, json=body))[0] in (403, 422), path
    assert list(await desk.documents()) == ["a.md"]


async def test_a_document_that_waits_has_no_text_yet(desk: Desk, client: httpx.AsyncClient) -> None:
    _, (document,) = await desk.add(note("a.md"))
    assert refused(await client.get(f"{PAPERS}/documents/{document.id}/text")) == (404, "text_not_found")
    assert refused(await client.get(f"{PAPERS}/documents/doc_none")) == (404, "document_not_found")


async def test_the_events_of_a_job_come_as_they_happen_and_end_with_it(desk: Desk, client: httpx.AsyncClient) -> None:
    job, _ = await desk.add(note("a.md"), note("b.md"))
    async with client.stream("GET", f"/api/v1/jobs/{job.id}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        pieces = stream.aiter_text()
        seen = await anext(pieces)
        with desk.worker():
            async for piece in pieces:
                seen += piece
    events = events_of(seen)
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    assert (events[-1][1], events[-1][2]["job"]["state"]) == ("done", "succeeded")
    state = (await client.get(f"/api/v1/jobs/{job.id}")).json()
    assert state == events[-1][2]["job"]
    assert (state["progress"], state["arguments"]) == ({"done": 2, "total": 2}, {"collection": "papers"})


async def test_events_resume_after_the_last_one_seen(desk: Desk, client: httpx.AsyncClient) -> None:
    job, _ = await desk.add(note("a.md"))
    await desk.library.holds.cancel(SYSTEM, of_job(job))
    path = f"/api/v1/jobs/{job.id}/events"
    numbers = [number for number, _, _ in events_of((await client.get(path)).text)]
    later = await client.get(path, headers={"last-event-id": str(numbers[0])})
    assert [number for number, _, _ in events_of(later.text)] == numbers[1:]
    assert (await client.get(path, headers={"last-event-id": str(numbers[-1])})).status_code == 204
    odd = await client.get(path, headers={"last-event-id": "9" * 5000})
    assert [number for number, _, _ in events_of(odd.text)] == numbers


async def test_a_job_is_cancelled_once(desk: Desk, client: httpx.AsyncClient) -> None:
    job, _ = await desk.add(note("a.md"))
    cancelled = await client.post(f"/api/v1/jobs/{job.id}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert refused(await client.post(f"/api/v1/jobs/{job.id}/cancel")) == (409, "job_finished")
    row = (await client.get(f"{PAPERS}/documents")).json()["results"][0]
    assert (row["state"], row["error"]["code"]) == ("failed", "cancelled")


async def test_jobs_are_listed_the_newest_first(desk: Desk, client: httpx.AsyncClient) -> None:
    jobs = [(await desk.add(note(f"{number}.md")))[0].id for number in range(5)]
    await client.post(f"/api/v1/jobs/{jobs[2]}/cancel")
    first = (await client.get("/api/v1/jobs", params={"limit": 3})).json()
    rest = (await client.get("/api/v1/jobs", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert [item["id"] for item in first["results"] + rest["results"]] == jobs[::-1]
    one = (await client.get("/api/v1/jobs", params={"state": "cancelled"})).json()["results"]
    assert [item["id"] for item in one] == [jobs[2]]
    assert refused(await client.get("/api/v1/jobs", params={"cursor": "am9iX3g"})) == (422, "invalid_cursor")


async def test_a_bad_search_is_refused(client: httpx.AsyncClient) -> None:
    for body in BAD_SEARCHES:
        assert (await client.post(f"{PAPERS}/search", json=body)).status_code == 422, body


async def test_searches_go_on_during_an_ingestion(desk: Desk, client: httpx.AsyncClient) -> None:
    with desk.worker():
        await desk.finished((await desk.add(note("first.md", "Puffins nest on the cliff.")))[0].id)
        job, _ = await desk.add(*(note(f"{number}.md", f"Seal number {number} rests.") for number in range(12)))
        answers = await asyncio.gather(
            *(client.post(f"{PAPERS}/search", json={"query": "Where do puffins nest?"}) for _ in range(16))
        )
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["results"][0]["document"] for answer in answers} == {"first.md"}
        await desk.finished(job.id)

    async def all_ready() -> bool:
        counts = (await client.get(PAPERS)).json()["documents"]
        return bool(counts["ready"] == counts["total"] == 13)

    await eventually(all_ready)
