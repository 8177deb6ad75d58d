"""Who is chosen, and a collector that is away."""

import socket
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from core import traces
from core.settings import Settings, SettingsError
from core.traces.sending import Tracing, context_of
from core.traces.traced import traced
from infra.running import wait_until
from tests.collector import Collector

ABOVE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    yield
    traces.connect(None)


@pytest.mark.parametrize(
    ("sampler", "argument", "alone", "called", "uncalled"),
    [
        ("parentbased_always_on", "", True, True, False),
        ("parentbased_traceidratio", "0", False, True, False),
        ("parentbased_traceidratio", "1", True, True, False),
        ("traceidratio", "0", False, False, False),
        ("always_off", "", False, False, False),
    ],
    ids=["default", "none", "all", "ratio", "off"],
)
def test_who_is_chosen(
    settings: Settings,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    sampler: str,
    argument: str,
    alone: bool,
    called: bool,
    uncalled: bool,
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    tracing = Tracing(settings)
    parents = (None, context_of(ABOVE), context_of(ABOVE[:-1] + "0"))
    assert [tracing.choose(parent, "POST") is None for parent in parents] == [alone, called, uncalled]
    tracing.close()


def test_a_share_is_chosen_and_the_trace_keeps_its_number(
    settings: Settings, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.2")
    tracing = Tracing(settings)
    traces.connect(tracing)
    chosen = 0
    for _ in range(500):
        if tracing.choose(None, "POST") is None:
            chosen += 1
            with traces.joining("request", None) as span:
                assert span is not None
                assert span.is_recording(), "it was chosen by another number"
    assert 50 < chosen < 160
    traces.connect(None)
    tracing.close()
    assert len(collector.spans) == chosen


def test_it_is_off_without_an_endpoint(settings: Settings) -> None:
    with traced(settings):
        assert not traces.are_on()


def test_a_collector_beyond_this_machine_needs_tls(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example.com:4318")
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_ENDPOINT"), traced(settings):
        pass


def test_a_collector_that_is_away_is_told_once_and_holds_nobody(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
    with capture_logs() as lines, traced(settings):
        for _ in range(20):
            with traces.joining("job", None):
                pass
        wait_until(lambda: lines, within_s=90, what="a line")
    assert [line["event"] for line in lines] == ["otlp.unreachable"]
