"""Documents that come in while workers are killed at random, the broker forgets everything, and the store loses some of what it
is given: each is there in the end, once and whole, and a file that kills whoever reads it is parked."""

import asyncio
import random
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
from redis import Redis

from core.sections import JobSettings
from core.settings import Settings
from core.valkey import EmbeddedValkey
from infra import samples
from infra.bench.gateway import mock_provider
from infra.bench.losing_store import POISON
from infra.bench.promises import DOCUMENTS
from infra.bench.volume import CONFIGURATION
from infra.bench.workers import Workers
from infra.postgresql import database_of_platform, postgresql
from infra.running import Running, running, wait_until
from infra.shared_store import store_package
from retrievers import chunk_ledger
from retrievers.base import Shelf
from retrievers.lexical import LexicalIndex

#: What is promised of a document whose worker was killed.
REDELIVERED_S = 30.0
COLLECTION, BAD = "reports", "reports/poison.txt"
_FILES_AT_ONCE = 200
_WORKERS = 2
_WORDS = 500
_IN_WORK = "SELECT id, lease, leased_until FROM documents WHERE state = 'processing' AND lease IS NOT NULL"


class Redelivery:
    """Follows documents that were in work when a worker died, until they may be taken up again; those of which there is another
    sign of life are another worker's. `slowest_s` is the longest that took; `followed` how many they were."""

    def __init__(self, database: str) -> None:
        self._database = database
        #: Since when, and until when the lease was then.
        self._followed: dict[tuple[str, str], tuple[float, datetime]] = {}
        self._lock, self._ending = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._follow, name="redelivery", daemon=True)
        self.slowest_s, self.followed = 0.0, 0
        self._thread.start()

    def note(self) -> None:
        """A worker has died now."""
        with psycopg.connect(self._database) as connection:
            rows = connection.execute(_IN_WORK).fetchall()
        with self._lock:
            for document, lease, until in rows:
                self._followed.setdefault((document, lease), (time.monotonic(), until))

    def end(self) -> None:
        self._ending.set()
        self._thread.join()

    def _follow(self) -> None:
        with psycopg.connect(self._database, autocommit=True) as connection:
            while not self._ending.wait(0.2):
                held = {(document, lease): until for document, lease, until in connection.execute(_IN_WORK).fetchall()}
                now = time.monotonic()
                with self._lock:
                    for one, (since, until) in list(self._followed.items()):
                        if held.get(one, until) > until:
                            del self._followed[one]
                            continue
                        self.slowest_s = max(self.slowest_s, now - since)
                        if one not in held:
                            del self._followed[one]
                            self.followed += 1


def survived(place: Path, *, files: int, kills: int, flushes: int, seed: int | None) -> dict[str, float]:
    """Bring in so many files beside a poisonous one, with so many kills and flushes at times that follow from `seed`.

    Raises:
        AssertionError: a document or chunk is missing, is there twice, or is nobody's; a document waited for too long after its
            worker was killed; or the poisonous file is not parked after its tries with the reason.
    """
    seed = seed if seed is not None else random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)  # noqa: S311 - kills, no secrets
    with ExitStack() as stack:
        valkey = EmbeddedValkey(Settings.load(data_dir=place / "broker"))
        stack.callback(valkey.close)
        redis_url = valkey.start()
        provider = stack.enter_context(mock_provider())
        configuration = place / "genai.toml"
        configuration.write_text(CONFIGURATION.format(provider=provider))
        server = stack.enter_context(postgresql())
        ours = database_of_platform(server, "killed")
        database = server.get_uri(database="killed")  # as the superuser, from whom no tenant's rows are hidden
        settings = {
            "GENAI_CONFIG": str(configuration),
            "GENAI_DATABASE_URL": ours,
            "GENAI_REDIS_URL": redis_url,
            "GENAI_HANDBOOK": "false",
            "GENAI_LOCAL__WARM": "false",
            "GENAI_JOBS__EMBEDDED_WORKER": "false",
            **store_package(place / "package", "losing", "infra.bench.losing_store:LosingStore"),
        }
        platform = stack.enter_context(running(place / "platform", **settings))
        client = stack.enter_context(platform.client())
        started = time.perf_counter()
        jobs = _brought(client, files)
        redelivery = Redelivery(database)
        stack.callback(redelivery.end)
        with Workers(platform, _WORKERS, died=redelivery.note) as workers:
            at = sorted(chance.uniform(0.02, 0.95) for _ in range(kills))
            forgets = sorted(chance.uniform(0.1, 0.9) for _ in range(flushes))
            for share, what in sorted([(share, "kill") for share in at] + [(share, "flush") for share in forgets]):
                wait_until(lambda share=share: _done(database) >= files * share, within_s=300, what=f"{share:.0%} ({seed=})")  # type: ignore[misc]
                if what == "kill":
                    workers.kill()
                else:
                    with Redis.from_url(redis_url) as broker:
                        broker.flushall()
            ended = [platform.finished_job(client, job, within_s=600) for job in jobs]
            took_s = time.perf_counter() - started
            deaths = workers.deaths
            _check_jobs(ended, files)
            chunks = _check_documents(client, database, files)
            repaired = _reconciled(platform, client)
        assert redelivery.slowest_s < REDELIVERED_S, f"taken up again after {redelivery.slowest_s:.1f} s ({seed=})"
        platform.stop()
        asyncio.run(_check_words(platform, database))
    return {
        "files": files,
        "kills": kills,
        "deaths": deaths,
        "chunks": chunks,
        "redelivered": redelivery.followed,
        "redelivered_within_s": redelivery.slowest_s,
        "repaired": repaired,
        "seed": seed,
        "seconds": took_s,
    }


def _brought(client: httpx.Client, files: int) -> list[str]:
    """The jobs that bring them in, and the poisonous one in the middle."""
    client.post("/api/v1/rag/collections", json={"name": COLLECTION}).raise_for_status()
    given = list(samples.many(files, words=_WORDS).items())
    given.insert(len(given) // 2, (BAD, f"Whoever reads of the {POISON} is gone.".encode()))
    jobs = []
    for first in range(0, len(given), _FILES_AT_ONCE):
        parts = [("files", one) for one in given[first : first + _FILES_AT_ONCE]]
        answer = client.post(DOCUMENTS.format(COLLECTION), files=parts).raise_for_status()
        jobs.append(str(answer.json()["job_id"]))
    return jobs


def _done(database: str) -> int:
    with suppress(psycopg.OperationalError), psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM documents WHERE state IN ('ready', 'failed')").fetchone()
        return int(row[0]) if row else 0
    return 0


def _check_jobs(ended: list[dict[str, Any]], files: int) -> None:
    assert sum(job["progress"]["done"] for job in ended) == files + 1, [job["progress"] for job in ended]
    assert {job["state"] for job in ended} <= {"succeeded", "failed"}, ended
    errors = [error for job in ended for error in job["errors"]]
    assert [(error["document"], error["code"]) for error in errors] == [(BAD, "interrupted")], errors


def _check_documents(client: httpx.Client, database: str, files: int) -> int:
    """The rows, the events of their end, and the store's rows; how many chunks there are."""
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT id, name, state, attempts, indexed_revision, chunks, chunks_digest, error_code, error_message "
            "FROM documents"
        ).fetchall()
        told = Counter(
            part["id"]
            for (data,) in connection.execute("SELECT data FROM job_events").fetchall()
            if (part := _part(data)) is not None and part["state"] == "ready"
        )
        (number,) = connection.execute("SELECT number FROM vector_shelves").fetchall()
        query = f"SELECT id, document_id, revision, starts_at, ends_at FROM vectors_{number[0]}"  # noqa: S608 - ours
        held = connection.execute(query.encode()).fetchall()
    assert len(rows) == files + 1
    assert len({row[1] for row in rows}) == files + 1
    bad = [row for row in rows if row[2] != "ready"]
    parked = [(name, state, code) for _, name, state, _, _, _, _, code, _ in bad]
    assert parked == [(BAD, "failed", "interrupted")], parked
    tries = client.get("/api/v1/rag/dead-letters").raise_for_status().json()["results"]
    assert [(one["name"], one["attempts"]) for one in tries] == [(BAD, bad[0][3])], tries
    assert bad[0][3] == JobSettings().max_attempts, bad
    assert bad[0][8], bad
    assert (set(told.values()), len(told)) == ({1}, files), told.most_common(3)
    ids: dict[tuple[str, int], list[str]] = {}
    for chunk_id, document, revision, _, _ in held:
        ids.setdefault((document, revision), []).append(chunk_id)
    assert len({(document, start, end) for _, document, _, start, end in held}) == len(held), "a chunk is there twice"
    expected = {(row[0], row[4]): (row[5], row[6]) for row in rows if row[2] == "ready"}
    found = {key: (len(some), chunk_ledger.digest(some)) for key, some in ids.items()}
    assert found == expected, _difference(expected, found)
    return len(held)


def _part(data: Any) -> dict[str, Any] | None:
    part = data.get("document")
    return part if isinstance(part, dict) and "id" in part else None


def _difference(expected: dict[Any, Any], found: dict[Any, Any]) -> str:
    missing = [key for key in expected if key not in found]
    orphans = [key for key in found if key not in expected]
    other = [key for key in expected if key in found and expected[key] != found[key]]
    return f"without chunks {missing[:5]}, orphans {orphans[:5]}, other chunks {other[:5]}"


def _reconciled(platform: Running, client: httpx.Client) -> int:
    """What the platform itself finds to put right, which is to be nothing."""
    asked = client.post(f"/api/v1/rag/collections/{COLLECTION}/reconcile").raise_for_status().json()
    result = platform.finished_job(client, asked["job_id"])["result"]
    wrong = result["missing"] + result["orphans"] + result["unrepaired"]
    assert wrong == 0, result
    return int(wrong)


async def _check_words(platform: Running, database: str) -> None:
    """The word index has each document's chunks of its revision, and no others."""
    index = LexicalIndex(Settings.load(data_dir=platform.directory / "data"))
    with psycopg.connect(database) as connection:
        collection, tenant = connection.execute("SELECT id, tenant FROM collections").fetchall()[0]
        query = "SELECT id, indexed_revision, chunks FROM documents WHERE state = 'ready'"
        expected = {document: {revision: chunks} for document, revision, chunks in connection.execute(query).fetchall()}
    found = await asyncio.to_thread(index.held, Shelf(tenant, collection))
    index.close()
    assert found == expected, _difference(expected, found)
