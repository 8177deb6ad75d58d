"""`/metrics` on the platform's port, and what answers count."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.middleware import Middleware
from starlette.responses import StreamingResponse

from core import metrics
from core.errors import ProviderFailed
from core.metrics.exposition import Exposition
from core.metrics.recorder import Recorder
from core.metrics.sources import Sources
from core.policies.store import Policies
from core.settings import MetricsSettings
from server.auth import Authentication
from server.routes import metrics as route
from server.streams import EventStream, event

TOKEN = "a-token-that-prometheus-shows-us-here"


class NoAccess:
    """A database that nobody may ask."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name}: a scrape must not wait for the database")


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    made = Recorder()
    metrics.connect(made)
    yield made
    metrics.connect(None)


def scraped(behind_edge: Any, settings: MetricsSettings | None) -> httpx.AsyncClient:
    access: Any = NoAccess()
    app, client = behind_edge(Middleware(Authentication, access=access, policies=Policies()))
    exposition = None if settings is None else Exposition(settings, Recorder(), Sources())
    app.state.platform = SimpleNamespace(metrics=exposition)
    app.include_router(route.router)
    return client


async def test_without_a_token_there_is_nothing(behind_edge: Any) -> None:
    for settings in (None, MetricsSettings(port=0)):
        answer = await scraped(behind_edge, settings).get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_who_shows_the_token_reads_them_and_the_database_is_not_asked(behind_edge: Any) -> None:
    client = scraped(behind_edge, MetricsSettings(token=TOKEN))
    refused = await client.get("/metrics", headers={"authorization": "Bearer an-administrator-s-key"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_key")
    answer = await client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert "# TYPE genai_requests_total counter" in answer.text


@contextmanager
def routed(behind_edge: Any) -> Iterator[tuple[FastAPI, httpx.AsyncClient]]:
    yield behind_edge()


async def test_an_error_is_counted_by_its_code(behind_edge: Any, recorder: Recorder) -> None:
    with routed(behind_edge) as (app, client):

        @app.get("/api/v1/usage")
        async def busy() -> None:
            raise PoolTimeout

        answer = await client.get("/api/v1/usage")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_busy")
    assert answer.headers["retry-after"] == "1"
    labels = {"door": "api", "capability": "", "code": "database_busy", "status": "503"}
    assert recorder.registry.get_sample_value("genai_errors_total", labels) == 1


async def test_what_is_not_there_is_counted_without_its_path(behind_edge: Any, recorder: Recorder) -> None:
    with routed(behind_edge) as (_, client):
        await client.get("/api/v1/users/usr_somebody")
    labels = {"door": "api", "capability": "", "code": "not_found", "status": "404"}
    assert recorder.registry.get_sample_value("genai_errors_total", labels) == 1
    assert recorder.registry.get_sample_value("genai_requests_in_progress", {}) == 0


async def test_a_stream_that_fails_midway_is_counted_by_its_code(behind_edge: Any, recorder: Recorder) -> None:
    async def events() -> AsyncIterator[bytes]:
        yield event("token", {"text": "a"})
        raise ProviderFailed("It broke off.")

    with routed(behind_edge) as (app, client):
        app.add_route("/api/v1/chat", lambda _: EventStream(events(), lambda error: event("error", error.code)))  # type: ignore[arg-type]
        answer = await client.get("/api/v1/chat")
    assert answer.status_code == 200
    served = {"door": "rest", "capability": "chat"}
    sample = recorder.registry.get_sample_value
    assert sample("genai_errors_total", {**served, "code": "provider_failed", "status": "502"}) == 1
    assert sample("genai_requests_total", {**served, "status": "200"}) == 1


async def test_the_first_piece_is_counted_and_no_sign_of_life_before_it(behind_edge: Any, recorder: Recorder) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b": still here\n\n"
        assert recorder.registry.get_sample_value("genai_requests_in_progress", {}) == 1
        yield b"event: token\n\n"
        yield b"event: done\n\n"

    with routed(behind_edge) as (app, client):
        app.add_route("/api/v1/chat", lambda _: StreamingResponse(pieces(), media_type="text/event-stream"))
        await client.get("/api/v1/chat")
        app.add_route("/api/v1/rag", lambda _: StreamingResponse(iter([b": still here\n\n"]), media_type="text/event-stream"))
        await client.get("/api/v1/rag")
    sample, name = recorder.registry.get_sample_value, "genai_request_first_token_seconds_count"
    assert sample(name, {"door": "rest", "capability": "chat"}) == 1
    assert sample(name, {"door": "rest", "capability": "rag"}) is None
