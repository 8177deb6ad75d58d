"""One trace a request, from its edge to the job that it started. How it is meant: `docs/traces.md`.

    with traces.span("search", {"genai.search.mode": mode}) as span:   # current within the block
    span = traces.begin("chat m", kind=Kind.CLIENT)                    # `traces.end(span)` ends it
    with traces.within(span): …                                       # current for a step, as of a stream

A span is None where nobody records: tracing is off, or the request was not chosen. Then these cost next to nothing. What a span
may hold is told by `core.traces.allowed`; everything else is left out when it is sent.
"""

from core.traces.seam import (
    CARRIED,
    Kind,
    are_on,
    begin,
    carried,
    connect,
    connected,
    current,
    end,
    fail,
    has_content,
    joining,
    mark,
    outward,
    span,
    trace_id,
    within,
)

__all__ = [
    "CARRIED",
    "Kind",
    "are_on",
    "begin",
    "carried",
    "connect",
    "connected",
    "current",
    "end",
    "fail",
    "has_content",
    "joining",
    "mark",
    "outward",
    "span",
    "trace_id",
    "within",
]
