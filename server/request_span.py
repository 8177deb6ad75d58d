"""What the span of a request tells of it, once its answer is known."""

from typing import TYPE_CHECKING

from starlette.types import Scope

from core import traces
from core.context import RequestContext
from core.principals import ANONYMOUS
from server.doors import door_of
from server.request_line import CLIENT_CLOSED_REQUEST

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_OWN_FAULT = 500


class RequestSpan:
    """The edge's span of one request. It is ended with the answer's last byte, by the instrumentation."""

    def __init__(self, span: "Span", context: RequestContext, scope: Scope) -> None:
        self._span, self._context, self._scope = span, context, scope
        self.trace_id = f"{span.get_span_context().trace_id:032x}"
        door, capability = door_of(scope["path"])
        span.set_attribute("genai.request_id", context.request_id)
        span.set_attribute("genai.door", door)
        if capability:
            span.set_attribute("genai.capability", capability)

    def ended(self, status: int, *, whole: bool = True) -> None:
        """The answer is about to be whole, or nothing more comes of it. Once its last byte has left, it is of no effect."""
        span, context = self._span, self._context
        if not span.is_recording():
            return
        # the instrumentation looks for the route before anybody is routed, and does not know those of `server.exact_paths`
        if route := getattr(self._scope.get("route"), "path", None):
            span.set_attribute("http.route", route)
            span.update_name(f"{self._scope['method']} {route}")
        if context.principal is not ANONYMOUS:
            span.set_attribute("genai.tenant", context.principal.tenant)
        if context.cache is not None:
            span.set_attribute("genai.cache", context.cache)
        if status == CLIENT_CLOSED_REQUEST or not (whole or context.error):
            span.set_attribute("genai.cancelled", True)
        if context.error is not None:
            code, stands_for = context.error
            if stands_for >= _OWN_FAULT:
                traces.fail(span, code)
            else:
                span.set_attribute("error.type", code)
