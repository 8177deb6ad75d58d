"""Health: what fails is told to who may know it, and to the log."""

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
from structlog.testing import capture_logs

from core.database import Database
from core.queue import Queue
from core.settings import Settings
from server.readiness import Readiness
from server.routes import health
from tests.server.conftest import ON_SQLITE
from tests.server.serving import platform


@ON_SQLITE
async def test_a_part_that_does_not_answer_is_told_and_logged(settings: Settings, database: Database) -> None:
    readiness = Readiness()
    for part in list(readiness.waiting):
        readiness.done(part)
    nothing: Any = SimpleNamespace(states=list, kills=SimpleNamespace(everywhere=0))
    store = SimpleNamespace(resources=SimpleNamespace(ping=lambda: None))
    queue = Queue("redis://127.0.0.1:1")
    app = platform(settings, readiness=readiness, database=database, queue=queue, library=store, models=nothing)
    app.include_router(health.router)
    with capture_logs() as logged:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            told = (await client.get("/api/v1/health")).json()
    assert told["status"] == "degraded"
    assert [part for part in ("database", "broker", "store") if told[part]["status"] != "ready"] == ["broker"]
    assert [line["broker"] for line in logged if line["event"] == "health.degraded"] == [told["broker"]["detail"]]
    await asyncio.to_thread(queue.close)


@ON_SQLITE
async def test_a_worker_that_has_ended_is_told(settings: Settings, database: Database) -> None:
    nothing: Any = SimpleNamespace(states=list, kills=SimpleNamespace(everywhere=0))
    store = SimpleNamespace(resources=SimpleNamespace(ping=lambda: None))
    queue: Any = SimpleNamespace(ping=lambda: None)
    readiness = Readiness(waiting=[])
    app = platform(settings, readiness=readiness, database=database, queue=queue, library=store, models=nothing)
    app.include_router(health.router)
    running = True
    app.state.platform.worker_runs = lambda: running
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        first = (await client.get("/api/v1/health")).json()
        running = False
        then = (await client.get("/api/v1/health")).json()
    assert (first["status"], first["worker"]) == ("ready", {"status": "ready"})
    assert (then["status"], then["worker"]) == ("degraded", {"status": "failed", "detail": "not running"})


@ON_SQLITE
async def test_it_is_ready_and_says_so_while_word_indexes_catch_up(settings: Settings, database: Database) -> None:
    readiness = Readiness()
    for part in list(readiness.waiting):
        readiness.done(part)
    nothing: Any = SimpleNamespace(kills=SimpleNamespace(everywhere=0))
    behind: set[str] = set()
    readiness.behind["words_behind"] = lambda: len(behind)
    app = platform(settings, readiness=readiness, database=database, models=nothing)
    app.include_router(health.router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/api/v1/health/ready")).json() == {"status": "ready"}
        behind |= {"one", "two"}
        answer = await client.get("/api/v1/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "words_behind": 2})
