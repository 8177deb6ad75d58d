"""A document is deleted, and looked for wherever the platform writes: stores, word index, cache, files, database, the
broker's append-only file, logs."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis
from psycopg.sql import SQL, Identifier

from core.settings import Settings
from core.valkey import EmbeddedValkey
from infra.bench.gateway import mock_provider
from infra.bench.store_servers import store_server
from infra.bench.volume import CONFIGURATION
from infra.running import Running, running

#: Seconds after which nothing may be left, where stores are scrubbed at once.
GONE_WITHIN_S = 120.0
CANARY, OTHER = "zqcanary4815162342", "zqstays2342"
COLLECTION = "papers"
_PATH = f"/api/v1/rag/collections/{COLLECTION}"
_ECHO = """
[[models]]
alias = "default"
[[models.deployments]]
provider = "openai_compatible:mock"
model = "mock-echo"
[models.cache]
exact = true
requests = "all"
"""
#: Where the canary has to be found before.
_BEFORE = frozenset({"vectors", "word index", "cache", "files", "database"})


def erased(place: Path, stores: Sequence[str], *, beside: int) -> dict[str, float]:
    """Delete a document from among `beside` others in each of the stores; seconds until nothing was left.

    Raises:
        AssertionError: something is left, nothing was there before, or something of the others is gone.
    """
    return {f"{store}_gone_after_s": _erased_in(place / store, store, beside) for store in stores}


def _erased_in(place: Path, store: str, beside: int) -> float:
    with mock_provider() as provider, store_server(store, place / "store") as there:
        configuration = place / "genai.toml"
        configuration.write_text(CONFIGURATION.format(provider=provider) + _ECHO)
        settings = {
            "GENAI_CONFIG": str(configuration),
            "GENAI_HANDBOOK": "false",
            "GENAI_LOCAL__WARM": "false",
            # what is stored lies open, so that a search finds whatever is left
            "GENAI_ENCRYPTION__SOURCE": "off",
            "GENAI_RETENTION__SCRUB_AFTER_S": "0",
        }
        with running(place / "platform", **settings, **there.settings) as platform, platform.client() as client:
            document = _filled(platform, client, beside)
            looked = _Places(platform, there.database)
            before = looked.holding(CANARY)
            assert before >= _BEFORE, f"{store}: {CANARY} was not in {sorted(_BEFORE - before)} to begin with"
            started = time.monotonic()
            client.delete(f"{_PATH}/documents/{document}").raise_for_status()
            left = before
            while left and time.monotonic() - started < GONE_WITHIN_S:
                time.sleep(1)
                left = looked.holding(CANARY)
            took_s = time.monotonic() - started
            assert not left, f"{store}: after {took_s:.0f} s something is left in {sorted(left)}: {looked.where(CANARY)}"
            kept = looked.holding(OTHER)
            assert kept >= {"vectors", "word index", "files"}, f"{store}: of the others something is gone: {sorted(kept)}"
            for mode in ("dense", "lexical"):
                answer = client.post(f"{_PATH}/search", json={"query": f"{OTHER}0", "mode": mode, "limit": 5})
                assert answer.raise_for_status().json()["results"], f"{store}: {mode} finds nothing of the others"
        return took_s


def _filled(platform: Running, client: httpx.Client, beside: int) -> str:
    """Documents, one with canaries, and everything that asking makes of them; the identifier of that one."""
    text = "\n\n".join(f"# Part {number} of {CANARY}\n\n{f'The word {CANARY} is secret. ' * 40}" for number in range(4))
    files = {f"{number}.md": f"# Other\n\nThe word {OTHER}{number} is public.".encode() for number in range(beside)}
    platform.ingest(client, COLLECTION, files | {"secret.md": text.encode()})
    (row,) = client.get(f"{_PATH}/documents", params={"name": "secret.md"}).raise_for_status().json()["results"]
    for mode in ("hybrid", "dense", "lexical"):
        client.post(f"{_PATH}/search", json={"query": "the secret word", "mode": mode}).raise_for_status()
    asked = {"question": "What is the secret word?", "collection": COLLECTION, "temperature": 0}
    said = client.post("/api/v1/rag", json=asked | {"session_id": "told"}).raise_for_status()
    assert CANARY in said.text, said.text[:300]
    client.post("/api/v1/rag", json=asked).raise_for_status()
    return str(row["id"])


class _Places:
    """All that a platform has written, by place."""

    def __init__(self, platform: Running, database: str | None) -> None:
        self._platform, self._data, self._database = platform, platform.directory / "data", database

    def holding(self, word: str) -> set[str]:
        """The places that hold the word."""
        return {place for place, found in self.where(word).items() if found}

    def where(self, word: str) -> dict[str, list[str]]:
        """The same with what holds it there."""
        sought = word.encode()
        places: dict[str, list[str]] = {"vectors": [], "files": [], "database": [], "other files": [], "log": []}
        for path in self._data.rglob("*"):
            with suppress(OSError):  # gone meanwhile
                if path.is_file() and sought in path.read_bytes():
                    below = path.relative_to(self._data)
                    places[_place_of(below)].append(str(below))
        places["word index"] = self._dictionary(word)
        places["cache"] = self._queue(sought)
        if self._database is not None:
            found = _tables_with(self._database, word)
            places["vectors"] += [name for name in found if name.startswith("vectors_")]
            places["database"] += [name for name in found if not name.startswith("vectors_")]
        if word in self._platform.output():
            places["log"].append("server.log")
        return places

    def _dictionary(self, word: str) -> list[str]:
        """Words of the index's files, whether a chunk is left that has them or not."""
        import tantivy

        found = []
        for meta in self._data.glob("lexical/v*/*/meta.json"):
            with suppress(ValueError, OSError):
                searcher = tantivy.Index.open(str(meta.parent)).searcher()
                found += [term for name in ("text", "context") for term, _ in searcher.terms_with_prefix(name, word[:10])]
        return [term for term in found if term.startswith(word)]

    def _queue(self, sought: bytes) -> list[str]:
        found = []
        socket = EmbeddedValkey(Settings.load(data_dir=self._data)).socket
        with redis.Redis(unix_socket_path=str(socket)) as client:
            for key in client.scan_iter(count=1000):
                value: Any = client.get(key) if client.type(key) == b"string" else client.dump(key)
                if sought in key + (value or b""):
                    found.append(repr(key))
        return found


def _place_of(path: Path) -> str:
    """What a path below the data directory belongs to."""
    if path.parts[0] in ("chroma", "qdrant"):
        return "vectors"
    if path.parts[0] == "files":
        return "files"
    return "database" if path.name.startswith("genai.db") else "other files"


def _tables_with(url: str, word: str) -> list[str]:
    """Tables of PostgreSQL with a row that has the word."""
    with psycopg.connect(url) as connection:
        names = [name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        query = SQL("SELECT 1 FROM {} AS each WHERE each::text LIKE %s LIMIT 1")
        return [name for name in names if connection.execute(query.format(Identifier(name)), [f"%{word}%"]).fetchone()]
