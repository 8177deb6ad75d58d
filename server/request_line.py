"""The one line of each request: what it was, who asked, what answered, what it took, and the identifiers that find the rest."""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.types import Scope

from core.context import RequestContext
from server.doors import door_of
from server.shown_path import shown

log = structlog.get_logger()

#: What a proxy's log calls a request whose caller hung up (nginx).
CLIENT_CLOSED_REQUEST = 499
_QUIET_PATHS = ("/api/v1/health", "/metrics", "/static/")


@dataclass(slots=True)
class Passed:
    """What went through the edge. `left`: the caller hung up before the answer's last byte."""

    status: int = CLIENT_CLOSED_REQUEST
    bytes_in: int = 0
    bytes_out: int = 0
    #: Seconds to the first event of a stream of them; 0 before it, None where the answer is none.
    first_s: float | None = None
    left: bool = False


def tell(scope: Scope, context: RequestContext, passed: Passed) -> None:
    """Write the line. Never the query: a sign-in link carries its token there. Of a key in the path no more than that.

    What asks all the time (health, metrics, the pages' own files) is told at level debug unless it went wrong.
    """
    path = scope["path"]
    quiet = path.startswith(_QUIET_PATHS) and passed.status < CLIENT_CLOSED_REQUEST
    door, capability = door_of(path)
    principal = context.principal
    fields: dict[str, Any] = {
        "method": scope["method"],
        "route": getattr(scope.get("route"), "path", None),
        "path": shown(path),
        "door": door,
        "status": passed.status,
        "ms": _ms(time.perf_counter() - context.started),
        "tenant": principal.tenant,
        "principal": principal.id,
        "key_id": principal.key_id,
        "capability": context.capability or capability or None,
        "job_id": context.job_id,
        "first_ms": _ms(passed.first_s) if passed.first_s else None,
        "bytes_in": passed.bytes_in,
        "bytes_out": passed.bytes_out,
        "disconnected": passed.left or None,
        "cache": context.cache,
    }
    if context.error is not None:
        fields["error"], fields["error_status"] = context.error
    if context.attempts or context.provider:
        fields |= _calls(context)
    (log.debug if quiet else log.info)(
        "request.finished", **{name: value for name, value in fields.items() if value is not None}
    )


def _calls(context: RequestContext) -> dict[str, Any]:
    """Which model answered, and what all calls together took."""
    usage = context.usage
    failed = Counter(f"{call.provider}/{call.model}: {call.reason}" for call in context.failures)
    return {
        "alias": context.alias,
        "provider": context.provider,
        "model": context.model,
        "attempts": context.attempts,
        "failed": dict(failed) or None,
        "degraded_to": context.degraded,
        "degraded_from": context.degraded_from,
        "tokens": usage.total_tokens,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "estimated": usage.estimated or None,
        "cost_usd": None if context.cost_usd is None else f"{context.cost_usd:f}",
        "unpriced": True if context.cost_usd is None else None,
        "provider_ms": _ms(context.provider_s),
        "overhead_ms": _ms(context.overhead_s),
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
