"""What survives a kill: every document that was accepted ends in its collection exactly once."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra import samples
from infra.running import Running, wait_until

FILES = 30


@pytest.fixture(params=["sqlite", "postgresql"])
def mortal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    """A platform of the test's own, without the handbook's work in its way."""
    settings = {"GENAI_HANDBOOK": "false", "GENAI_LOCAL__WARM": "false", "GENAI_JOBS__LEASE_S": "3"}
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        server.psql("CREATE DATABASE crash;")
        settings["GENAI_DATABASE_URL"] = server.get_uri(database="crash")
    platform = Running(tmp_path / "platform", **settings)
    yield platform.start()
    if platform.process is not None:
        platform.stop()


def exactly_once(client: httpx.Client, collection: str, count: int) -> None:
    """Every document is ready, and its marker is found once, in its own document."""
    rows: list[dict[str, str]] = []
    cursor: str | None = None
    while cursor or not rows:
        query = {"limit": "200", **({"cursor": cursor} if cursor else {})}
        page = client.get(f"/api/v1/rag/collections/{collection}/documents", params=query).json()
        rows += page["results"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(row["name"] for row in rows) == sorted(samples.many(count))
    assert {row["state"] for row in rows} == {"ready"}
    for number in range(count):
        body = {"query": f"marker{number:05d}", "mode": "lexical", "limit": 10}
        results = client.post(f"/api/v1/rag/collections/{collection}/search", json=body).json()["results"]
        found = [result for result in results if f"marker{number:05d}" in result["text"]]
        spans = {(result["document_id"], result["start"]) for result in found}
        assert len(spans) == len(found) >= 1, f"marker{number:05d}"
        assert {result["document"] for result in found} == {f"reports/station-{number:05d}.txt"}


def test_a_kill_in_the_middle_of_an_ingestion_loses_nothing_and_doubles_nothing(mortal: Running) -> None:
    with mortal.client() as client:
        client.post("/api/v1/rag/collections", json={"name": "reports"}).raise_for_status()
        files = [("files", item) for item in samples.many(FILES).items()]
        job = client.post("/api/v1/rag/collections/reports/documents", files=files).json()["job_id"]
        for share in (0.2, 0.6):
            wait_until(
                lambda share=share: client.get(f"/api/v1/jobs/{job}").json()["progress"]["done"] >= FILES * share,
                within_s=90,
                what="some documents done",
            )
            mortal.kill()
            mortal.start()
        final = mortal.finished_job(client, job, within_s=120)
        assert (final["state"], final["errors"]) == ("succeeded", [])
        assert final["progress"] == {"done": FILES, "total": FILES}
        exactly_once(client, "reports", FILES)


def test_an_asked_for_stop_ends_within_its_grace_and_the_next_start_goes_on(mortal: Running) -> None:
    with mortal.client() as client:
        client.post("/api/v1/rag/collections", json={"name": "reports"}).raise_for_status()
        files = [("files", item) for item in samples.many(10).items()]
        job = client.post("/api/v1/rag/collections/reports/documents", files=files).json()["job_id"]
        assert mortal.stop() == 0
        mortal.start()
        assert mortal.finished_job(client, job, within_s=120)["state"] == "succeeded"
        exactly_once(client, "reports", 10)


def test_a_second_server_on_the_same_data_is_refused(mortal: Running) -> None:
    second = Running(mortal.directory, **mortal.settings)
    second.log = mortal.directory / "second.log"
    second.start(ready=False)
    assert second.process is not None
    assert second.process.wait(60) == 1
    assert "store_not_shareable" in second.output() or "another process" in second.output().lower()
    with mortal.client() as client:
        assert client.get("/api/v1/health").json()["status"] == "ready"
