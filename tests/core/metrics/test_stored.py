"""What waits in database and broker, read from real ones."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from redis import Redis
from redis.exceptions import RedisError

from core import jobs
from core.budgets.rules import Rule
from core.database import Database, utc_now
from core.ledger import Ledger
from core.metrics import connect
from core.metrics.recorder import Recorder
from core.metrics.sources import Reading
from core.metrics.stored import Stored, spooled, waiting
from core.principals import SYSTEM
from core.settings import Settings
from core.tables import Budget, Job, JobState


@pytest.fixture
def redis(valkey_url: str) -> Iterator[Redis]:
    with Redis.from_url(valkey_url) as client:
        client.flushall()
        yield client


@pytest.fixture
def stored(database: Database, valkey_url: str) -> Iterator[Stored]:
    made = Stored(database._settings, valkey_url)
    yield made
    made.close()


def told(readings: Iterator[Reading]) -> dict[tuple[str, ...], float]:
    return {(reading.family.name, *reading.labels): reading.value for reading in readings}


async def test_jobs_that_wait_and_the_oldest_of_them(database: Database, stored: Stored) -> None:
    async with database.transaction(all_tenants=True) as session:
        for minutes in (1, 5):
            job = await jobs.open_job(session, SYSTEM, jobs.INGESTION, total=1)
            job.created_at = utc_now() - timedelta(minutes=minutes)
        running = await jobs.open_job(session, SYSTEM, jobs.BATCH, total=1)
        running.state = JobState.RUNNING.value
        await jobs.end(session, await jobs.open_job(session, SYSTEM, jobs.EXPORT, total=1), JobState.SUCCEEDED)
    found = told(stored.jobs())
    assert found["genai_jobs", "ingestion", "queued"] == 2
    assert found["genai_jobs", "batch", "running"] == 1
    assert found["genai_jobs", "export", "queued"] == found["genai_jobs", "export", "running"] == 0
    assert 300 <= found["genai_job_oldest_queued_seconds", "ingestion"] < 400
    assert found["genai_job_oldest_queued_seconds", "batch"] == 0
    assert found["genai_documents", "queued"] == 0


async def test_messages_and_open_reservations(database: Database, stored: Stored, redis: Redis) -> None:
    budget = Budget(tenant="acme", window="month", created_by="usr_0", limit_tokens=100)
    async with database.transaction(all_tenants=True) as session:
        session.add(budget)
    held, now = f"{Rule.of(budget).counter}:held", utc_now().timestamp() * 1000
    redis.zadd(held, {"one 5": now + 60_000, "two 5": now + 60_000, "past 5": now - 1})
    redis.rpush("genai:ingestion", "a", "b")
    assert told(stored.reservations()) == {("genai_budget_reservations",): 2, ("genai_budgets",): 1}
    assert told(stored.queues())["genai_queue_messages", "ingestion"] == 2
    assert told(stored.queues())["genai_queue_messages", "batches"] == 0


def test_without_redis_its_source_fails_rather_than_waits(settings: Settings, unused_tcp_port: int) -> None:
    stored = Stored(settings, f"redis://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(RedisError):
        told(stored.queues())
    stored.close()


async def test_a_job_is_counted_once_its_end_is_committed(database: Database) -> None:
    recorder = Recorder()
    connect(recorder)
    try:
        async with database.transaction(all_tenants=True) as session:
            job = await jobs.open_job(session, SYSTEM, jobs.INGESTION, total=1)

        async def end() -> None:
            async with database.transaction(all_tenants=True) as session:
                await jobs.end(session, (await session.get_one(Job, job.id)), JobState.SUCCEEDED)
                if not given_up:
                    return
                raise RuntimeError("rolled back")

        given_up = True
        with pytest.raises(RuntimeError):
            await end()
        outcome = {"kind": "ingestion", "outcome": "succeeded"}
        assert recorder.registry.get_sample_value("genai_job_duration_seconds_count", outcome) is None
        given_up = False
        await end()
        assert recorder.registry.get_sample_value("genai_job_duration_seconds_count", outcome) == 1
    finally:
        connect(None)


def test_what_the_ledger_keeps_in_files(settings: Settings, database: Database) -> None:
    directory = settings.path("ledger")
    directory.mkdir()
    (directory / "1-a.jsonl").write_text(json.dumps({"id": "led_1"}))
    (directory / "1-a.jsonl.lock").write_text("")
    assert told(spooled(directory)) == {("genai_ledger_spooled_bytes",): len('{"id": "led_1"}')}
    book = Ledger(database._settings)
    assert told(waiting(book)) == {("genai_ledger_waiting_entries",): 0}
    book.close()
