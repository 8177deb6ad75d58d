"""Whose trace a request is part of, and what its edge tells of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from httpx import ASGITransport, AsyncClient
from starlette.middleware import Middleware

from core import traces
from core.errors import ProviderFailed
from core.settings import Settings
from core.traces.sending import Tracing
from server import error_responses
from server.edge import Edge
from server.tracing import instrument
from tests.collector import Collector, Sent, collecting

THEIRS = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CHOSEN, UNCHOSEN = f"00-{THEIRS[0]}-{THEIRS[1]}-01", f"00-{THEIRS[0]}-{THEIRS[1]}-00"


class Traced:
    """An application whose requests are recorded, and what a collector has of them."""

    def __init__(self, tracing: Tracing, collector: Collector) -> None:
        self._tracing, self._collector = tracing, collector
        app = FastAPI(middleware=[Middleware(Edge)])
        error_responses.install(app)

        @app.get("/api/v1/things/{thing}")
        async def show(thing: str) -> dict[str, Any]:
            return {"trace": traces.trace_id()}

        @app.get("/api/v1/failing")
        async def fail() -> None:
            raise ProviderFailed("a secret")

        @app.get("/api/v1/broken")
        async def break_off() -> StreamingResponse:
            async def pieces():
                yield b"one"
                raise RuntimeError("a secret")

            return StreamingResponse(pieces())

        @app.get("/api/v1/health/live")
        async def live() -> None:
            pass

        instrument(app, tracing)
        self.client = AsyncClient(transport=ASGITransport(app=app, raise_app_exceptions=False), base_url="http://canary-host")

    def spans(self) -> list[Sent]:
        assert self._tracing.provider.force_flush()
        return self._collector.spans


@pytest.fixture
def make(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Traced]]:
    made: list[Tracing] = []
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)

        def begin(**options: Any) -> Traced:
            made.append(Tracing(Settings.load(data_dir=settings.data_dir, traces=options)))
            traces.connect(made[-1])
            return Traced(made[-1], collector)

        yield begin
        traces.connect(None)
        for tracing in made:
            tracing.close()


async def test_a_span_is_called_by_its_route_and_holds_no_path(make: Callable[..., Traced]) -> None:
    traced = make()
    answer = await traced.client.get("/api/v1/things/canary-thing?canary-query=1", headers={"user-agent": "canary-agent"})
    (span,) = traced.spans()
    assert (span.name, span.kind, span.failed) == ("GET /api/v1/things/{thing}", "SERVER", False)
    assert span.trace_id == answer.headers["x-genai-trace-id"] == answer.json()["trace"]
    assert span.attributes == {
        "genai.door": "api",
        "genai.request_id": answer.headers["x-request-id"],
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/api/v1/things/{thing}",
        "network.protocol.version": "1.1",
        "url.scheme": "http",
    }


async def test_a_callers_trace_is_joined_where_callers_are_trusted(make: Callable[..., Traced]) -> None:
    traced = make(join_callers=True)
    answer = await traced.client.get("/api/v1/things/1", headers={"traceparent": CHOSEN})
    (span,) = traced.spans()
    assert (span.trace_id, span.parent_id, span.links) == (*THEIRS, [])
    assert answer.headers["x-genai-trace-id"] == THEIRS[0]


async def test_what_a_trusted_caller_did_not_choose_is_not_recorded(make: Callable[..., Traced]) -> None:
    traced = make(join_callers=True)
    answer = await traced.client.get("/api/v1/things/1", headers={"traceparent": UNCHOSEN})
    assert traced.spans() == []
    assert answer.json() == {"trace": THEIRS[0]}, "its lines in the log still name it"
    assert "x-genai-trace-id" not in answer.headers


@pytest.mark.parametrize("told", [CHOSEN, UNCHOSEN], ids=["chosen", "unchosen"])
async def test_a_callers_trace_is_otherwise_linked(make: Callable[..., Traced], told: str) -> None:
    traced = make()
    await traced.client.get("/api/v1/things/1", headers={"traceparent": told, "baggage": "a=b"})
    (span,) = traced.spans()
    assert span.links == [THEIRS]
    assert (span.trace_id == THEIRS[0], span.parent_id) == (False, "")


@pytest.mark.parametrize("told", ["nonsense", f"00-{'0' * 32}-{THEIRS[1]}-01", f"ff-{THEIRS[0]}-{THEIRS[1]}-01"])
async def test_what_is_no_trace_is_passed_over(make: Callable[..., Traced], told: str) -> None:
    traced = make(join_callers=True)
    answer = await traced.client.get("/api/v1/things/1", headers={"traceparent": told})
    assert answer.status_code == 200
    (span,) = traced.spans()
    assert (span.parent_id, span.links) == ("", [])


async def test_an_error_is_told_by_its_code(make: Callable[..., Traced]) -> None:
    traced = make()
    await traced.client.get("/api/v1/failing")
    await traced.client.get("/api/v1/nothing")
    failed, missing = traced.spans()
    assert (failed.failed, failed.attributes["error.type"]) == (True, "provider_failed")
    assert (missing.name, missing.failed, missing.attributes["error.type"]) == ("GET", False, "not_found")
    assert not failed.events


async def test_an_answer_that_breaks_off_is_marked(make: Callable[..., Traced]) -> None:
    traced = make()
    await traced.client.get("/api/v1/broken")
    (span,) = traced.spans()
    assert (span.failed, span.attributes["error.type"], span.attributes["http.response.status_code"]) == (
        True,
        "internal_error",
        200,
    )
    assert "genai.cancelled" not in span.attributes
    assert all(set(attributes) <= {"exception.type"} for _, attributes in span.events)


async def test_probes_are_not_recorded(make: Callable[..., Traced]) -> None:
    traced = make()
    assert (await traced.client.get("/api/v1/health/live")).status_code == 200
    assert traced.spans() == []
