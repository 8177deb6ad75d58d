"""OpenTelemetry's metrics as a collector gets them."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from core.ledger import Entry
from core.ledger.entries import TokenClasses
from core.metrics.conventions import Conventions
from core.settings import Settings, SettingsError

Sent = dict[str, list[tuple[dict[str, str], float]]]


class Collector:
    """An OTLP collector on loopback."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                bodies.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def sent(self) -> Sent:
        """By metric: attributes and sum of each series."""
        found: Sent = {}
        for body in self.bodies:
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for metric in [metric for scope in resource.scope_metrics for metric in scope.metrics]:
                    for point in metric.histogram.data_points:
                        told = {each.key: each.value.string_value for each in point.attributes}
                        found.setdefault(metric.name, []).append((told, point.sum))
        return found


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    started = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", started.url)
    yield started
    started.server.shutdown()
    started.server.server_close()


def entry(**told: Any) -> Entry:
    given = {
        "request_id": "req_1",
        "tenant": "acme",
        "principal": "usr_1",
        "alias": "default",
        "provider": "azure",
        "model": "m",
    }
    given |= {"status": "ok", "latency_ms": 250.0, "capability": "chat"}
    return Entry(**(given | told))


def sent_under(settings: Settings, collector: Collector, names: str, *entries: Entry) -> Sent:
    conventions = Conventions(Settings.load(data_dir=settings.data_dir, metrics={"conventions": names}))
    for each in entries:
        conventions.called(each)
    conventions.close()
    return collector.sent()


CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}


def test_current_names(settings: Settings, collector: Collector) -> None:
    call = entry(first_token_ms=40.0, tokens=TokenClasses(input=5, cached=7, output=3, reasoning=2))
    about = CALL | {"gen_ai.provider.name": "azure.ai.openai"}
    assert sent_under(settings, collector, "current", call) == {
        "gen_ai.client.operation.duration": [(about, 0.25)],
        "gen_ai.client.token.usage": [
            (about | {"gen_ai.token.type": "input"}, 12),
            (about | {"gen_ai.token.type": "output"}, 3),
        ],
        "gen_ai.client.operation.time_to_first_chunk": [(about, 0.04)],
    }


def test_previous_names(settings: Settings, collector: Collector) -> None:
    about = CALL | {"gen_ai.system": "az.ai.openai"}
    assert sent_under(settings, collector, "previous", entry(first_token_ms=40.0)) == {
        "gen_ai.client.operation.duration": [(about, 0.25)],
        "gen_ai.server.time_to_first_token": [(about, 0.04)],
    }


def test_both_names_failures_and_what_is_no_call(settings: Settings, collector: Collector) -> None:
    calls = (
        entry(status="rate_limited", provider="openai_compatible:vllm", capability="completion"),
        entry(alias="embeddings", provider="bedrock"),
        entry(cache="hit"),
    )
    told = sent_under(settings, collector, "both", *calls)["gen_ai.client.operation.duration"]
    failed, embedded = sorted((about for about, _ in told), key=lambda about: about["gen_ai.system"], reverse=True)
    assert failed["error.type"] == "rate_limited"
    assert failed["gen_ai.operation.name"] == "text_completion"
    assert failed["gen_ai.provider.name"] == failed["gen_ai.system"] == "openai_compatible"
    assert embedded["gen_ai.operation.name"] == "embeddings"
    assert "error.type" not in embedded


def test_nothing_is_sent_in_plaintext_beyond_this_machine(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://collector.example.com:4318")
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"):
        Conventions(Settings.load(data_dir=settings.data_dir, metrics={"conventions": "current"}))
