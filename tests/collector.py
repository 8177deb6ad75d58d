"""An OTLP collector on loopback that remembers the spans it was sent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from core import traces
from core.settings import Settings
from core.traces.sending import Tracing
from infra.bench import collector as collectors
from infra.running import wait_until


@dataclass(frozen=True)
class Sent:
    """A span as it came. `attributes` are plain values."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    failed: bool
    began: int
    ended: int
    events: list[tuple[str, dict[str, Any]]]


class Collector(collectors.Collector):
    """What it was sent, as spans and trees of them."""

    @property
    def spans(self) -> list[Sent]:
        """All that came, in the order of their beginnings."""
        found = [
            _sent(span)
            for body in list(self.bodies)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return sorted(found, key=lambda span: span.began)

    def trace(self, trace_id: str) -> list[Sent]:
        return [span for span in self.spans if span.trace_id == trace_id]

    def whole(self, trace_id: str, enough: Callable[[list[Sent]], bool], within_s: float = 20) -> "Tree":
        """A trace, once it has what `enough` asks for."""

        def come() -> list[Sent]:
            spans = self.trace(trace_id)
            return spans if spans and enough(spans) else []

        return Tree(wait_until(come, within_s=within_s, what=f"the trace {trace_id}"))


class Tree:
    """The spans of one trace. Raises where one has a parent that never came."""

    def __init__(self, spans: list[Sent]) -> None:
        self.spans = spans
        self._by_id = {span.span_id: span for span in spans}
        assert len(self._by_id) == len(spans), "a span was sent twice"
        self.orphans = [span.name for span in spans if span.parent_id and span.parent_id not in self._by_id]

    def one(self, name: str) -> Sent:
        found = self.named(name)
        assert len(found) == 1, (name, [span.name for span in self.spans])
        return found[0]

    def named(self, name: str) -> list[Sent]:
        return [span for span in self.spans if span.name == name]

    def above(self, span: Sent) -> list[str]:
        """The names of the spans that it stands below, from its parent up."""
        names = []
        while span.parent_id and span.parent_id in self._by_id:
            span = self._by_id[span.parent_id]
            names.append(span.name)
        return names

    def drawn(self) -> str:
        """As an outline, for a failure's message."""
        lines = []

        def draw(parent: str, depth: int) -> None:
            for span in self.spans:
                if span.parent_id == parent:
                    lines.append("  " * depth + span.name)
                    draw(span.span_id, depth + 1)

        draw("", 0)
        return "\n".join(lines)


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    try:
        yield collector
    finally:
        collector.close()


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


def _sent(span: trace_pb2.Span) -> Sent:
    return Sent(
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes={each.key: _plain(each.value) for each in span.attributes},
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        events=[(event.name, {each.key: _plain(each.value) for each in event.attributes}) for event in span.events],
    )


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None
