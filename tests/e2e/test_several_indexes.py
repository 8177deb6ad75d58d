"""Two servers of one platform, each a process with a data directory of its own: what one of them reads, the other finds by its
words as soon as it is ready; what is deleted, none has any more, one that was killed meanwhile neither."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import infra.postgresql
from core.settings import Settings
from core.valkey import EmbeddedValkey
from infra.running import Running, wait_until
from infra.several import several

WORD = "quagga"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[list[Running]]:
    url = infra.postgresql.database_of_platform(request.getfixturevalue("postgresql"), "several_indexes")
    valkey = EmbeddedValkey(Settings.load(data_dir=tmp_path_factory.mktemp("valkey")))
    place = tmp_path_factory.mktemp("several")
    files = (place / "files").as_uri()
    grown = {"GENAI_DATABASE_URL": url, "GENAI_REDIS_URL": valkey.start(), "GENAI_FILES_URL": files}
    try:
        with several(place, 2, configuration="", **grown) as running:
            yield running
    finally:
        valkey.close()


def found(client: httpx.Client, query: str = WORD) -> list[str]:
    asked = {"query": query, "mode": "lexical", "limit": 10}
    answer = client.post("/api/v1/rag/collections/animals/search", json=asked).raise_for_status().json()
    assert not answer["degraded"]
    return sorted(one["document"] for one in answer["results"])


def indexes(servers: list[Running]) -> list[Path]:
    """What all servers have of word indexes."""
    return [path for server in servers for path in (server.directory / "data" / "lexical").glob("v*/*") if path.is_dir()]


def test_word_indexes_of_all_servers_follow_what_each_of_them_does(servers: list[Running]) -> None:
    here, there = servers
    one, other = here.client(), there.client()
    texts = {f"{name}.md": f"# {name}\n\nThe {WORD} of {name} grazes by the river.".encode() for name in ("cape", "coast")}
    assert here.ingest(one, "animals", texts)["state"] == "succeeded"
    assert found(one) == found(other) == ["cape.md", "coast.md"]
    documents = {row["name"]: row["id"] for row in other.get("/api/v1/rag/collections/animals/documents").json()["results"]}
    there.kill()
    one.delete(f"/api/v1/rag/collections/animals/documents/{documents['cape.md']}").raise_for_status()
    assert here.ingest(one, "animals", {"hill.md": f"A {WORD} on the hill.".encode()}, create=False)["state"] == "succeeded"
    assert found(one) == ["coast.md", "hill.md"]
    there.start()
    other = there.client()
    assert found(other) == ["coast.md", "hill.md"]
    answer = other.post("/api/v1/rag/collections/animals/reconcile")
    assert (answer.status_code, answer.headers["location"]) == (202, f"/api/v1/jobs/{answer.json()['job_id']}")
    job = there.finished_job(other, answer.json()["job_id"])
    assert (job["state"], job["result"]["documents"], job["result"]["missing"]) == ("succeeded", 2, 0)
    assert len(indexes(servers)) == 2
    one.delete("/api/v1/rag/collections/animals").raise_for_status()
    wait_until(lambda: not indexes(servers), within_s=90, what="indexes are gone")
