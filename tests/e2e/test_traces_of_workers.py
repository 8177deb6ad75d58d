"""A trace that a server begins and a worker in another process goes on with."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import infra.postgresql
from core.settings import Settings
from core.valkey import EmbeddedValkey
from infra.running import Running
from tests.collector import Collector, Sent, collecting

DOCUMENTS = 2


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as started:
        yield started


@pytest.fixture
def server(tmp_path: Path, collector: Collector, request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server that works on nothing itself, beside a worker."""
    valkey = EmbeddedValkey(Settings.load(data_dir=tmp_path / "valkey"))
    common = {
        "GENAI_DATABASE_URL": infra.postgresql.database_of_platform(request.getfixturevalue("postgresql"), "traced_worker"),
        "GENAI_REDIS_URL": valkey.start(),
        "GENAI_FILES_URL": (tmp_path / "files").as_uri(),
        "GENAI_SECRET_KEY": secrets.token_urlsafe(32),
        "GENAI_ENCRYPTION__KEY": secrets.token_urlsafe(32),
        "GENAI_HANDBOOK": "false",
        "GENAI_LOCAL__WARM": "false",
        "GENAI_LOCAL__THREADS": "1",
        "GENAI_JOBS__EMBEDDED_WORKER": "false",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "GENAI_RETRIEVAL__STORE": "pgvector",
    }
    (tmp_path / "files").mkdir()
    server, worker = (Running(tmp_path / name, **common) for name in ("server", "worker"))
    worker.program = ("-m", "jobs.worker")
    try:
        server.start()
        worker.start(ready=False)
        yield server
    finally:
        assert worker.stop() == 0, worker.tail()
        server.stop()
        valkey.close()


def test_the_documents_that_a_worker_takes_are_below_the_request_that_brought_them(server: Running, collector: Collector):
    with server.client() as client:
        client.post("/api/v1/rag/collections", json={"name": "traced"}).raise_for_status()
        parts = [("files", (f"{number}.txt", f"Text {number}.".encode())) for number in range(DOCUMENTS)]
        sent: httpx.Response = client.post("/api/v1/rag/collections/traced/documents", files=parts)
        assert sent.status_code == 202, sent.text
        job = server.finished_job(client, sent.json()["job_id"])
        search = {"query": "text", "mode": "dense"}
        found = client.post("/api/v1/rag/collections/traced/search", json=search).raise_for_status().json()["results"]
    assert job["state"] == "succeeded", job
    assert len(found) == DOCUMENTS  # what the worker has stored is the server's as well

    def whole(spans: list[Sent]) -> bool:
        names = [span.name for span in spans]
        return names.count("process document") == DOCUMENTS and any(span.kind == "SERVER" for span in spans)

    tree = collector.whole(sent.headers["x-genai-trace-id"], whole)
    assert tree.orphans == [], tree.drawn()
    for span in tree.named("process document"):
        assert tree.above(span)[-1] == "POST /api/v1/rag/collections/{name}/documents"
        assert (span.kind, span.attributes["genai.job.id"]) == ("CONSUMER", job["id"])
