"""Tracing that sends to a collector on loopback."""

from collections.abc import Callable, Iterator

import pytest

from core import traces
from core.settings import Settings
from core.traces.sending import Tracing
from tests.collector import Collector, Sent, collecting


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as started:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", started.url)
        yield started


@pytest.fixture
def tracing(settings: Settings, collector: Collector) -> Iterator[Tracing]:
    made = Tracing(settings)
    traces.connect(made)
    yield made
    traces.connect(None)
    made.close()


@pytest.fixture
def sent(tracing: Tracing, collector: Collector) -> Callable[[], list[Sent]]:
    """All spans that have ended, as the collector has them."""

    def flushed() -> list[Sent]:
        assert tracing.provider.force_flush()
        return collector.spans

    return flushed
