"""The trace of a request from its edge: OpenTelemetry's instrumentation of FastAPI, and before it who is chosen for it.

The instrumentation takes some 0.1 ms before it asks whether a request is recorded at all. So it is asked here first, and one
that is not chosen goes past it.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from opentelemetry import context, propagate
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.utils import suppress_http_instrumentation
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import Span, SpanContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Receive, Scope, Send

from core.settings import set_variables, usual_variable
from core.traces.sending import Tracing, context_of, current_context

#: Asked by machines every few seconds, or files that never change.
_QUIET = ("/api/v1/health", "/metrics", "/static/")
#: What callers' traces are told by. None of it goes further than to here.
_CALLERS = frozenset({b"traceparent", b"tracestate", b"baggage"})
_LINK = "genai.trace.link"
#: Which names the instrumentation has for HTTP's attributes; its own default are those before 2023.
_NAMES = "OTEL_SEMCONV_STABILITY_OPT_IN"


def instrument(app: FastAPI, tracing: Tracing) -> None:
    """Have the requests of an application recorded. Before its first request."""
    if not usual_variable(_NAMES):
        set_variables({_NAMES: "http"})
    propagate.set_global_textmap(TraceContextTextMapPropagator())
    FastAPIInstrumentor.instrument_app(
        app,
        server_request_hook=_link,
        tracer_provider=tracing.provider,
        meter_provider=NoOpMeterProvider(),
        excluded_urls="",
        exclude_spans=["receive", "send"],
    )
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: _Chosen(build(), tracing)  # type: ignore[method-assign]


def _link(span: Span, scope: dict[str, Any]) -> None:
    """A caller's span that is not joined is linked to."""
    if (linked := scope.get(_LINK)) is not None:
        span.add_link(linked)


class _Chosen:
    """ASGI middleware: those that are chosen go through the instrumentation, the others past it."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app, self._tracing = app, tracing
        self._join = tracing.settings.join_callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_QUIET):
            with suppress_http_instrumentation():
                await self._app(scope, receive, send)
            return
        caller = _told_by(scope["headers"])
        if caller is not None and not self._join:
            scope[_LINK] = caller
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in _CALLERS]
            caller = None
        unrecorded = self._tracing.choose(caller, scope["method"])
        if unrecorded is None:
            await self._app(scope, receive, send)
            return
        token = context.attach(current_context(unrecorded))
        try:
            with suppress_http_instrumentation():
                await self._app(scope, receive, send)
        finally:
            context.detach(token)


def _told_by(headers: Sequence[tuple[bytes, bytes]]) -> SpanContext | None:
    """The caller's span; None where there is none, or more than one, or what is none."""
    given = [value for name, value in headers if name == b"traceparent"]
    return context_of(given[0].decode("latin-1")) if len(given) == 1 else None
