"""What is stored, dumped from every place and searched for what was said: absent wherever the documentation says that it is
encrypted. And a rotation beside a platform that serves: no request fails."""

import json
import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import MetaData, create_engine, select

from core.encryption.local_keys import KEY_FILE
from infra.running import ROOT, Running, wait_until
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Reply

CONFIG = """
handbook = false
[local]
warm = false
[[models]]
alias = "default"
[models.cache]
exact = true
semantic = true
[[models.deployments]]
provider = "openai"
model = "gpt-4o-mini"
[providers.openai]
base_url = "{url}"
api_key = "{key}"
"""


def canary(what: str) -> str:
    return f"canary{what}{secrets.token_hex(8)}"


@dataclass
class Canaries:
    """One for each thing that a caller says or is told."""

    prompt: str = field(default_factory=lambda: canary("prompt"))
    answer: str = field(default_factory=lambda: canary("answer"))
    text: str = field(default_factory=lambda: canary("text"))
    upload: str = field(default_factory=lambda: canary("upload"))
    provider_key: str = field(default_factory=lambda: canary("key"))

    @property
    def all(self) -> list[str]:
        return [self.prompt, self.answer, self.text, self.upload, self.provider_key]

    def found_in(self, dump: bytes) -> set[str]:
        return {each for each in self.all if each.encode() in dump or each.encode("utf-16-le") in dump}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Canaries]]:
    """A platform in which each canary was stored by every way there is."""
    directory, canaries = tmp_path_factory.mktemp(f"encrypted-{request.param}"), Canaries()
    with OpenAIFake() as provider:
        provider.always(Reply(text=f"Hello {canaries.answer}."))
        file = directory / "genai.toml"
        file.write_text(CONFIG.format(url=provider.base_url, key=canaries.provider_key))
        settings = {"GENAI_CONFIG": str(file)}
        if request.param == "postgresql":
            server = request.getfixturevalue("postgresql")
            server.psql("CREATE DATABASE encrypted;")
            settings["GENAI_DATABASE_URL"] = server.get_uri(database="encrypted")
        platform = Running(directory / "platform", **settings).start()
        with platform.client() as client:
            store(platform, client, canaries)
        yield platform, canaries
        if platform.process is not None:
            platform.stop()


def store(platform: Running, client: httpx.Client, canaries: Canaries) -> None:
    said = {"messages": [{"role": "user", "content": f"Say {canaries.prompt}"}], "temperature": 0}
    for path, body in (("/api/v1/chat", said | {"session_id": "s"}), ("/api/v1/chat", said)):
        answer = client.post(path, json=body, headers={"Idempotency-Key": secrets.token_hex(8)}).raise_for_status()
        assert canaries.answer in answer.text
    requests = [{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": said}]
    content = "\n".join(map(json.dumps, requests)).encode()
    upload = client.post("/v1/files", files={"file": ("in.jsonl", content)}, data={"purpose": "batch"}).raise_for_status()
    batch = {"input_file_id": upload.json()["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    made = client.post("/v1/batches", json=batch).raise_for_status().json()["id"]
    wait_until(lambda: client.get(f"/v1/batches/{made}").json()["status"] == "completed", within_s=60, what="the batch")
    page = f"<html><!-- {canaries.upload} --><body><p>The pump {canaries.text} runs.</p></body></html>".encode()
    assert platform.ingest(client, "papers", {"page.html": page})["state"] == "succeeded"
    asked = {"question": f"What runs, {canaries.prompt}?", "collection": "papers", "session_id": "r", "temperature": 0}
    client.post("/api/v1/rag", json=asked).raise_for_status()


def read_below(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.rglob("*") if file.is_file())


def database_dump(platform: Running) -> bytes:
    """Each value of each row; on SQLite the bytes of its files as well."""
    data = platform.directory / "data"
    url = platform.settings.get("GENAI_DATABASE_URL", f"sqlite:///{data / 'genai.db'}")
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        rows: list[Any] = [tuple(row) for table in tables.tables.values() for row in connection.execute(select(table))]
    engine.dispose()
    values = [bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode() for row in rows for value in row]
    return b"\n".join([*values, *(file.read_bytes() for file in data.glob("genai.db*"))])


def dumps(platform: Running) -> dict[str, bytes]:
    """By the names that the documentation's table has."""
    data = platform.directory / "data"
    return {
        "database": database_dump(platform),
        "files": read_below(data / "files"),
        "response cache": read_below(data / "valkey"),
        "append-only file": read_below(data / "valkey"),
        "vectors": read_below(data / "chroma"),
        "word index": read_below(data / "lexical"),
        "logs": platform.output().encode(),
    }


def table_of_the_documentation() -> dict[str, bool]:
    """Place → whether it is encrypted, as `docs/encryption.md` has it."""
    page = (ROOT / "docs/encryption.md").read_text()
    rows = re.findall(r"^\| ([a-z -]+) \| (yes|no|nothing to encrypt)\b", page, re.MULTILINE)
    return {place: encrypted != "no" for place, encrypted in rows}


def test_the_documentation_says_of_every_place_whether_it_is_encrypted(place: tuple[Running, Canaries]) -> None:
    assert table_of_the_documentation().keys() >= {*dumps(place[0]), "backups"}


def test_no_dump_of_what_is_said_to_be_encrypted_holds_what_was_stored(place: tuple[Running, Canaries]) -> None:
    platform, canaries = place
    said = table_of_the_documentation()
    held = {name: canaries.found_in(dump) for name, dump in dumps(platform).items()}
    assert {name: found for name, found in held.items() if found and said[name]} == {}
    assert canaries.text in held["vectors"], "the table says why they are not encrypted: they no longer are what it says"
    for name in ("vectors", "word index"):
        assert held[name] <= {canaries.text}


def test_the_dumps_are_of_what_was_stored(place: tuple[Running, Canaries]) -> None:
    """They hold what is not encrypted: names, and sealed values."""
    found = dumps(place[0])
    assert b"page.html" in found["database"]
    assert b"sealed" in found["database"]
    assert b"\x8aGES" in found["files"]
    assert b"genai:cache" in found["append-only file"]
    assert b"\x8aGES" in found["append-only file"]


def test_all_that_is_written_is_the_owners_alone(place: tuple[Running, Canaries]) -> None:
    written = [path for path in (place[0].directory / "data").rglob("*") if path.is_file()]
    assert any(path.name == "genai.db" for path in written) or "GENAI_DATABASE_URL" in place[0].settings
    assert [path for path in written if path.stat().st_mode & 0o077] == []


def test_the_key_file_is_the_owners_alone_and_not_in_the_database(place: tuple[Running, Canaries]) -> None:
    file = place[0].directory / "data" / KEY_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes().strip() not in database_dump(place[0])


def rotate(platform: Running) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "langserve_app.py", "--rotate-encryption"],
        cwd=ROOT,
        env=platform.environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def chat(number: int, said: int) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": f"{number}: {said}"}], "session_id": f"u{number}"}
    return {"json": body, "headers": {"Idempotency-Key": f"{number}-{said}"}}


def use(platform: Running, number: int, stop: threading.Event) -> list[tuple[str, int]]:
    """Read and write until told to stop; what was asked, and the status of its answer."""
    seen: list[tuple[str, int]] = []
    documents = "/api/v1/rag/collections/papers/documents"
    with platform.client() as client:
        first = client.get(documents).json()["results"][0]["id"]
        said, before = 1, chat(number, 0)
        client.post("/api/v1/chat", **before).raise_for_status()
        while not stop.is_set():
            calls: list[tuple[str, str, dict[str, Any]]] = [
                ("POST", "/api/v1/chat", chat(number, said)),
                ("GET", f"/api/v1/sessions/u{number}", {}),
                ("GET", "/api/v1/sessions/s", {}),
                ("GET", f"{documents}/{first}/text", {}),
                ("POST", "/v1/files", {"files": {"file": ("x.jsonl", b"{}\n")}, "data": {"purpose": "batch"}}),
            ]
            for method, path, more in calls:
                seen.append((path, client.request(method, path, **more).status_code))
            # what is kept of the round before is given again, once it is kept: until then it is 409, with Retry-After
            again = partial(client.post, "/api/v1/chat", **before)
            wait_until(lambda again=again: again().status_code != 409, within_s=60, what="the answer to be kept")  # type: ignore[misc]
            seen.append(("again", again().status_code))
            said, before = said + 1, chat(number, said)
    return seen


def test_keys_are_rotated_while_requests_read_and_write_and_none_fails(place: tuple[Running, Canaries]) -> None:
    platform, canaries = place
    file = platform.directory / "data" / KEY_FILE
    before, stop = file.read_text().split(), threading.Event()
    with ThreadPoolExecutor(3) as pool:
        using = [pool.submit(use, platform, number, stop) for number in range(3)]
        try:
            done = rotate(platform)
        finally:
            stop.set()
        seen = [answer for each in using for answer in each.result()]
    assert done.returncode == 0, done.stderr[-2000:]
    assert [answer for answer in seen if answer[1] >= 400] == []
    assert {path for path, _ in seen} >= {"/api/v1/chat", "again", "/v1/files", "/api/v1/sessions/s"}
    keys = file.read_text().split()
    assert keys[1:] == before
    file.write_text(keys[0] + "\n")
    os.chmod(file, 0o600)
    platform.stop()
    platform.start()
    with platform.client() as client:
        assert canaries.prompt in client.get("/api/v1/sessions/s").raise_for_status().text
        document = client.get("/api/v1/rag/collections/papers/documents").json()["results"][0]["id"]
        text = client.get(f"/api/v1/rag/collections/papers/documents/{document}/text").raise_for_status().text
        assert canaries.text in text
    assert not any(key in done.stdout + done.stderr + platform.output() for key in keys)
