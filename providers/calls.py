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


def ended(span: "Span", entry: Entry, reason: str | None, model: str | None) -> None:
    """End it with what the ledger has of the call."""
    tokens = entry.tokens
    told: dict[str, Any] = {
        "gen_ai.usage.input_tokens": tokens.input + tokens.cached + tokens.cache_write + tokens.cache_write_1h,
        "gen_ai.usage.output_tokens": tokens.output,
        "genai.estimated": entry.estimated,
    }
    optional = {
        "gen_ai.response.model": model,
        "gen_ai.usage.cache_read.input_tokens": tokens.cached,
        "gen_ai.usage.cache_creation.input_tokens": tokens.cache_write + tokens.cache_write_1h,
        "gen_ai.usage.reasoning.output_tokens": tokens.reasoning,
        "gen_ai.response.time_to_first_chunk": None if entry.first_token_ms is None else entry.first_token_ms / 1000,
        "gen_ai.response.finish_reasons": [reason] if reason else None,
        "genai.cost_usd": None if entry.cost_usd is None else f"{entry.cost_usd:f}",
    }
    span.set_attributes(told | {name: value for name, value in optional.items() if value})
    if entry.status == _CANCELLED:
        span.set_attribute("genai.cancelled", True)
    elif entry.status != "ok":
        traces.fail(span, entry.status)
    span.end()
