"""Many callers at once: searches beside an ingestion, and more generations than the local model has room for."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from infra.bench.promises import STORY, asynchronous, more_generations_than_room, searches_during_ingestion
from infra.running import Running, running


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A platform with one slot and a queue of two."""
    directory = tmp_path_factory.mktemp("small")
    with running(directory, GENAI_LOCAL__SLOTS="1", GENAI_LOCAL__QUEUE="2", GENAI_HANDBOOK="false") as platform:
        yield platform


async def test_searches_during_an_ingestion_all_succeed_and_health_goes_on_answering(platform: Running) -> None:
    figures = await searches_during_ingestion(platform, files=10, at_once=32)
    assert figures["searches"] >= 32
    assert (
        figures["health_p95_ms"] > 0
    )  # it answered each time; how soon is held by make prove, on a machine that does no other work


async def test_generations_beyond_slots_and_queue_get_429_and_when_to_come_back(small: Running) -> None:
    figures = await more_generations_than_room(small, room=3, callers=10, max_tokens=120)
    assert figures["refused"] >= 1


async def given_up(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    """Ask, wait for the first sign of an answer or 0.7 s, and hang up."""
    with contextlib.suppress(httpx.ReadTimeout):
        async with client.stream("POST", path, json=body, timeout=httpx.Timeout(30, read=0.7)) as response:
            assert response.status_code == 200
            await anext(response.aiter_raw())


@pytest.mark.parametrize("path", ["/api/v1/chat", "/api/v1/chat/invoke", "/api/v1/chat/stream"])
async def test_hanging_up_frees_the_slot(small: Running, path: str) -> None:
    said = {**STORY, "max_tokens": 1500, "temperature": 1.5}
    body = said if path == "/api/v1/chat" else {"input": said}
    async with asynchronous(small) as client:
        for _ in range(4):  # more than slot and queue together: each must have gone when the next one comes
            await given_up(client, path, body)
        started = time.perf_counter()
        answer = await client.post("/api/v1/chat", json={**said, "max_tokens": 4})
        assert answer.status_code == 200, answer.text
        assert time.perf_counter() - started < 30
