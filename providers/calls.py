"""A provider's call in a request's trace, by the names of OpenTelemetry's conventions for generative AI."""

from typing import TYPE_CHECKING, Any

from core import traces
from core.context import RequestContext
from core.gen_ai import operation, provider_attributes
from core.ledger.entries import Entry
from providers.served import Served

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_CANCELLED = "cancelled"


def begun(request: RequestContext, served: Served, alias: str) -> "Span | None":
    """The span of a call that begins now; None where the request is not recorded."""
    tracing = traces.connected()
    if tracing is None:
        return None
    does = operation(request.capability, embeds=alias in tracing.embedding)
    span = traces.begin(f"{does} {served.name}", {"gen_ai.operation.name": does}, kind=traces.Kind.CLIENT)
    if span is not None:
        span.set_attributes(provider_attributes(served.provider_name, tracing.names))
        span.set_attributes(
            {"gen_ai.request.model": served.name, "genai.alias": alias, "genai.attempt": max(1, request.attempts)}
        )
    return span


def dropped(span: "Span") -> None:
    """End it: its caller left before anything was sent."""
    span.set_attribute("genai.cancelled", True)
    span.end()


def ended(span: "Span", entry: Entry, reason: str | None, model: str | None) -> None:
    """End it with what the ledger has of the call."""
    tokens = entry.tokens
    written = tokens.cache_write + tokens.cache_write_1h
    told: dict[str, Any] = {
        "gen_ai.response.model": model,
        "gen_ai.response.finish_reasons": [reason] if reason else None,
        "gen_ai.response.time_to_first_chunk": None if entry.first_token_ms is None else entry.first_token_ms / 1000,
        "gen_ai.usage.input_tokens": tokens.input + tokens.cached + written,
        "gen_ai.usage.output_tokens": tokens.output,
        "gen_ai.usage.cache_read.input_tokens": tokens.cached,
        "gen_ai.usage.cache_creation.input_tokens": written,
        "gen_ai.usage.reasoning.output_tokens": tokens.reasoning,
        "genai.cost_usd": f"{entry.cost_usd:f}" if entry.cost_usd else None,
        "genai.estimated": entry.estimated,
    }
    # what is not known, or none, is not told
    span.set_attributes({name: value for name, value in told.items() if value})
    if entry.status == _CANCELLED:
        span.set_attribute("genai.cancelled", True)
    elif entry.status != "ok":
        traces.fail(span, entry.status)
    span.end()
