"""Many callers at once: searches beside an ingestion, and more generations than the local model has room for."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra import samples
from infra.running import Running, running

SEARCHES_AT_ONCE = 32


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A platform with one slot and a queue of two."""
    directory: Path = tmp_path_factory.mktemp("small")
    with running(directory, GENAI_LOCAL__SLOTS="1", GENAI_LOCAL__QUEUE="2", GENAI_HANDBOOK="false") as platform:
        yield platform


def asynchronous(platform: Running) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=platform.url,
        headers={"Authorization": f"Bearer {platform.key}"},
        timeout=120,
        trust_env=False,
        limits=httpx.Limits(max_connections=100),
    )


async def test_searches_during_an_ingestion_all_succeed_and_health_stays_quick(platform: Running) -> None:
    collection = f"busy-{uuid.uuid4().hex[:8]}"
    async with asynchronous(platform) as client:
        await client.post("/api/v1/rag/collections", json={"name": collection})
        files = [("files", item) for item in samples.many(40).items()]
        job = (await client.post(f"/api/v1/rag/collections/{collection}/documents", files=files)).json()["job_id"]
        statuses: list[int] = []
        health: list[float] = []

        async def searching() -> None:
            body = {"query": "krill sightings at the station", "limit": 5}
            answer = await client.post(f"/api/v1/rag/collections/{collection}/search", json=body)
            statuses.append(answer.status_code)

        async def asking_health(stop: asyncio.Event) -> None:
            while not stop.is_set():
                started = time.perf_counter()
                assert (await client.get("/api/v1/health/live")).status_code == 200
                health.append(time.perf_counter() - started)

        stop = asyncio.Event()
        watcher = asyncio.create_task(asking_health(stop))
        rounds = 0
        while (await client.get(f"/api/v1/jobs/{job}")).json()["state"] in ("queued", "running"):
            await asyncio.gather(*(searching() for _ in range(SEARCHES_AT_ONCE)))
            rounds += 1
        stop.set()
        await watcher
        final = (await client.get(f"/api/v1/jobs/{job}")).json()
    assert (final["state"], final["errors"]) == ("succeeded", [])
    assert rounds >= 1
    assert set(statuses) == {200}
    assert sorted(health)[int(len(health) * 0.95)] < 1.0  # make prove holds the promise of 0.25 s on a quiet machine


async def test_generations_beyond_slots_and_queue_get_429_and_when_to_come_back(small: Running) -> None:
    body = {"messages": [{"role": "user", "content": "Tell me a long story about the sea."}], "max_tokens": 120}
    async with asynchronous(small) as client:
        answers = await asyncio.gather(*(client.post("/api/v1/chat", json=body) for _ in range(10)))
        by_status = [answer.status_code for answer in answers]
        assert by_status.count(200) >= 3
        assert set(by_status) == {200, 429}
        for refused in (answer for answer in answers if answer.status_code == 429):
            assert refused.json()["error"]["code"] == "queue_full"
            assert int(refused.headers["retry-after"]) >= 1
        assert (await client.post("/api/v1/chat", json={**body, "max_tokens": 4})).status_code == 200


async def given_up(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    """Ask, wait for the first sign of an answer or 0.7 s, and hang up."""
    with contextlib.suppress(httpx.ReadTimeout):
        async with client.stream("POST", path, json=body, timeout=httpx.Timeout(30, read=0.7)) as response:
            assert response.status_code == 200
            await anext(response.aiter_raw())


@pytest.mark.parametrize("path", ["/api/v1/chat", "/api/v1/chat/invoke", "/api/v1/chat/stream"])
async def test_hanging_up_frees_the_slot(small: Running, path: str) -> None:
    said = {"messages": [{"role": "user", "content": "Write a very long story."}], "max_tokens": 1500, "temperature": 1.5}
    body = said if path == "/api/v1/chat" else {"input": said}
    async with asynchronous(small) as client:
        for _ in range(4):  # more than slot and queue together: each must have gone when the next one comes
            await given_up(client, path, body)
        started = time.perf_counter()
        answer = await client.post("/api/v1/chat", json={**said, "max_tokens": 4})
        assert answer.status_code == 200
        assert time.perf_counter() - started < 10
