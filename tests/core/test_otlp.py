"""Where OpenTelemetry's signals go, as its usual variables say."""

from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from core import otlp
from core.otlp import Signal, Told
from core.settings import SettingsError
from core.transport.sections import TLSSettings


def test_an_endpoint_is_the_signals_own_or_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert otlp.endpoint(Signal.TRACES) is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://127.0.0.1:4319/logs")
    assert otlp.endpoint(Signal.TRACES) == "http://127.0.0.1:4318"
    assert otlp.endpoint(Signal.LOGS) == "http://127.0.0.1:4319/logs"


@pytest.mark.parametrize(("variable", "value"), [("OTEL_SDK_DISABLED", "True"), ("OTEL_TRACES_EXPORTER", "none")])
def test_nothing_is_sent_where_it_is_switched_off(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setenv(variable, value)
    assert otlp.endpoint(Signal.TRACES) is None


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "genai-platform"),
        ({"OTEL_SERVICE_NAME": "ours", "OTEL_RESOURCE_ATTRIBUTES": "service.name=other"}, "ours"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=other,deployment.environment.name=test"}, "other"),
    ],
    ids=["unnamed", "named", "attributes"],
)
def test_the_service_is_called_as_the_variables_say(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], name: str) -> None:
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    attributes = otlp.resource().attributes
    assert attributes["service.name"] == name
    assert ("deployment.environment.name" in attributes) == ("test" in str(given))


GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example.com:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        (
            GRPC | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "collector.example.com:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true"},
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        ),
        (
            GRPC | {"OTEL_EXPORTER_OTLP_ENDPOINT": "dns:///collector.example.com:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true"},
            "OTEL_EXPORTER_OTLP_ENDPOINT: collector.example.com",
        ),
        (
            GRPC | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example.com:4317"},
            "OTEL_EXPORTER_OTLP_ENDPOINT: collector.example.com",
        ),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
    ],
    ids=["plaintext", "insecure", "insecure by another scheme", "plaintext of gRPC", "protocol"],
)
def test_what_cannot_be_used_names_its_variable(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], named: str) -> None:
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=named):
        otlp.exporter(Signal.TRACES, TLSSettings())


@pytest.mark.parametrize("signal", list(Signal))
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_every_signal_has_an_exporter_for_each_protocol(monkeypatch: pytest.MonkeyPatch, signal: Signal, protocol: str) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    made = otlp.exporter(signal, TLSSettings())
    assert callable(made.export)
    made.shutdown()


def test_one_line_a_change_of_state() -> None:
    results = iter(["SUCCESS", "FAILURE", "FAILURE", "SUCCESS", "SUCCESS"])
    told = Told(Signal.TRACES, SimpleNamespace(export=lambda _: SimpleNamespace(name=next(results))))
    with capture_logs() as lines:
        for _ in range(5):
            told.export([])
    assert [line["event"] for line in lines] == ["otlp.unreachable", "otlp.reached_again"]
