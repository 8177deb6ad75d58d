"""What records traces and sends them, for one process: OpenTelemetry's SDK, set up by its usual variables.

Its provider is not the process's global one: a library that would tell of itself there, prompts among it, finds nothing.
"""

import random
import threading
from contextvars import ContextVar, Token
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)
from opentelemetry.trace.propagation import set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from core import otlp
from core.settings import Settings
from core.traces.allowed import Allowed
from core.traces.seam import Attributes, Kind

#: Seconds that the end of the process waits for what is still to be sent.
CLOSE_S: Final = 2.0
_KINDS = {kind: SpanKind[kind.value] for kind in Kind}
_PROPAGATOR = TraceContextTextMapPropagator()
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
#: The trace that has been decided on, and is about to begin.
_chosen: ContextVar[int | None] = ContextVar("genai_chosen_trace", default=None)


class Tracing:
    """Records what is chosen and sends it, in a thread of its own. `close` sends the rest. Nothing waits for a collector."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError: traces cannot be sent to where the variables say."""
        self.settings = settings.traces
        self.content = settings.traces.content
        self.names = settings.metrics.conventions or "current"
        self.embedding = frozenset(alias.alias for alias in settings.aliases if alias.kind == "embeddings")
        sending = Allowed(otlp.exporter(otlp.Signal.TRACES, settings.tls), content=self.content)
        self.provider = TracerProvider(resource=otlp.resource(), id_generator=_Identifiers(), shutdown_on_exit=False)
        self.provider.add_span_processor(BatchSpanProcessor(sending))
        self._tracer = self.provider.get_tracer("genai")

    def close(self) -> None:
        """Send what is left, as far as the collector takes it within `CLOSE_S`."""
        ending = threading.Thread(target=self.provider.shutdown, name="traces-end", daemon=True)
        ending.start()
        ending.join(CLOSE_S)

    # --- the current span ---------------------------------------------------------------------------------------------------

    def trace_id(self) -> str | None:
        """See `core.traces.trace_id`."""
        told = trace.get_current_span().get_span_context()
        return f"{told.trace_id:032x}" if told.is_valid else None

    def carried(self) -> str | None:
        """See `core.traces.carried`."""
        return traceparent_of(trace.get_current_span().get_span_context())

    def current(self) -> Span | None:
        """See `core.traces.current`."""
        told = trace.get_current_span()
        return told if told.is_recording() else None

    def begin(self, name: str, attributes: Attributes | None, kind: Kind) -> Span | None:
        """See `core.traces.begin`."""
        if not trace.get_current_span().is_recording():
            return None
        return self._tracer.start_span(name, kind=_KINDS[kind], attributes=attributes)

    def fail(self, told: Span, error_type: str) -> None:
        """See `core.traces.fail`."""
        told.set_attribute("error.type", error_type)
        told.set_status(Status(StatusCode.ERROR))

    def enter(self, told: Span) -> Token[Context]:
        """Make a span the current one, until `leave`."""
        return context.attach(set_span_in_context(told))

    def leave(self, token: Token[Context]) -> None:
        """Make the one before it the current one."""
        context.detach(token)

    # --- the edges of a trace -----------------------------------------------------------------------------------------------

    def join(self, name: str, traceparent: str | None, link: str | None, attributes: Attributes | None) -> Span:
        """See `core.traces.joining`."""
        parent = context_of(traceparent)
        above = Context() if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())
        other = context_of(link) if link != traceparent else None
        links = [] if other is None else [Link(other)]
        return self._tracer.start_span(name, above, kind=SpanKind.CONSUMER, attributes=attributes, links=links)

    def choose(self, parent: SpanContext | None, name: str) -> Span | None:
        """Whether a request is recorded: None where it is, else a span that stands for it and records nothing."""
        above = None if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())
        number = parent.trace_id if parent is not None else random.getrandbits(128) or 1
        if self.provider.sampler.should_sample(above, number, name, SpanKind.SERVER).decision is Decision.RECORD_AND_SAMPLE:
            _chosen.set(number if parent is None else None)
            return None
        own = random.getrandbits(64) or 1
        return NonRecordingSpan(SpanContext(number, own, is_remote=False, trace_flags=TraceFlags(TraceFlags.DEFAULT)))


class _Identifiers(IdGenerator):
    """Random ones; that of a request's trace is the one by which it was chosen."""

    def generate_trace_id(self) -> int:
        chosen = _chosen.get()
        if chosen is not None:
            _chosen.set(None)
            return chosen
        return random.getrandbits(128) or 1

    def generate_span_id(self) -> int:
        return random.getrandbits(64) or 1

    def is_trace_id_random(self) -> bool:
        return True


def context_of(traceparent: str | None) -> SpanContext | None:
    """The span that W3C's header tells; None where it tells none."""
    if not traceparent:
        return None
    told = trace.get_current_span(_PROPAGATOR.extract({"traceparent": traceparent}, Context()))
    return None if told is INVALID_SPAN or not told.get_span_context().is_valid else told.get_span_context()


def traceparent_of(told: SpanContext) -> str | None:
    """W3C's header for a span; None for none."""
    return f"00-{told.trace_id:032x}-{told.span_id:016x}-{int(told.trace_flags):02x}" if told.is_valid else None


def current_context(told: Any) -> Context:
    """The current context with another span in it."""
    return set_span_in_context(told)
