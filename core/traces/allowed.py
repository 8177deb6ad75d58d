"""What a span that is sent may hold: attributes of this list, and of errors their type. Whatever a library put beside them is
left out: addresses, queries, headers, statements, messages.

It is done when spans are sent, by the thread that sends them, and for all of them: what is not listed here leaves by no door.
"""

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.trace import Link, Status
from opentelemetry.util.types import Attributes

#: Characters of a value at most, content apart.
LONGEST = 256
#: What was asked and answered, for where `GENAI_TRACES__CONTENT` has it captured.
CONTENT = frozenset({"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.retrieval.documents"})
#: Characters of it that a span holds at most.
LONGEST_CONTENT = 32_000
ATTRIBUTES = frozenset(
    {
        # HTTP, by its current names and its previous ones (OTEL_SEMCONV_STABILITY_OPT_IN)
        "http.method",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "http.scheme",
        "http.status_code",
        "network.protocol.version",
        "url.scheme",
        # errors
        "error.type",
        "exception.type",
        # generative AI
        "gen_ai.data_source.id",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.model",
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.system",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.reasoning.output_tokens",
        # database, Redis, queue
        "db.collection.name",
        "db.operation.batch.size",
        "db.operation.name",
        "db.system.name",
        "messaging.batch.message_count",
        "messaging.destination.name",
        "messaging.operation.type",
        "messaging.system",
        # the platform's own
        "genai.alias",
        "genai.attempt",
        "genai.cache",
        "genai.cancelled",
        "genai.capability",
        "genai.cost_usd",
        "genai.door",
        "genai.estimated",
        "genai.job.id",
        "genai.job.kind",
        "genai.request_id",
        "genai.search.degraded",
        "genai.search.dense_weight",
        "genai.search.mode",
        "genai.search.results",
        "genai.search.step",
        "genai.tenant",
        "genai.texts",
    }
)


class Allowed(SpanExporter):
    """An exporter of spans that sends what the list allows."""

    def __init__(self, inner: Any, *, content: bool) -> None:
        self._inner = inner
        self._content = CONTENT if content else frozenset()

    def export(self, spans: Sequence[ReadableSpan], /) -> Any:
        """Send a batch."""
        return self._inner.export([self._as_allowed(span) for span in spans])

    def shutdown(self) -> None:
        """Give up what is being sent."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Whether nothing is left to be sent."""
        return bool(self._inner.force_flush(timeout_millis))

    def _as_allowed(self, span: ReadableSpan) -> ReadableSpan:
        return ReadableSpan(
            name=span.name[:LONGEST],
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=self._some(span.attributes),
            events=[Event(event.name, self._some(event.attributes), event.timestamp) for event in span.events],
            links=[Link(link.context) for link in span.links],
            kind=span.kind,
            status=Status(span.status.status_code),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def _some(self, attributes: Attributes) -> dict[str, Any]:
        found = attributes or {}
        kept = {name: _cut(value, LONGEST) for name, value in found.items() if name in ATTRIBUTES}
        return kept | {name: _cut(found[name], LONGEST_CONTENT) for name in self._content if name in found}


def _cut(value: Any, longest: int) -> Any:
    return value[:longest] if isinstance(value, str) else value
