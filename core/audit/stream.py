"""Events as others read them: the one schema for exports and for the log, with the field names of the Elastic Common Schema."""

from collections.abc import Iterable
from datetime import UTC
from typing import Any

import orjson
import structlog

from core.audit.actions import Outcome, category
from core.audit.events import Event
from core.tables import AuditEvent

_EVERY_LEVEL = structlog.make_filtering_bound_logger(0)


def as_ecs(row: AuditEvent) -> dict[str, Any]:
    """An event with the names of the Elastic Common Schema 9, flat, and `genai.*` for what it has no name for."""
    found = {
        "log.logger": "audit",
        "@timestamp": row.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "event.kind": "event",
        "event.dataset": "genai.audit",
        "event.sequence": row.number,
        "event.action": row.action,
        "event.category": [category(row.action)],
        "event.type": ["denied"] if row.outcome == Outcome.DENIED else ["info"],
        "event.outcome": "success" if row.outcome == Outcome.SUCCESS else "failure",
        "organization.id": row.tenant,
        "user.id": row.actor,
        "source.ip": row.address,
        "http.request.id": row.request_id,
        "genai.key.id": row.key_id,
        "genai.object.type": row.object_type,
        "genai.object.id": row.object_id,
        "genai.details": row.details,
        "genai.hash": row.hash,
        "genai.previous_hash": row.previous_hash,
    }
    return {name: value for name, value in found.items() if value not in (None, {})}


def as_line(row: AuditEvent) -> bytes:
    """The same as one line of JSON."""
    return orjson.dumps(as_ecs(row)) + b"\n"


def tell(rows: Iterable[AuditEvent]) -> None:
    """Write events to the log of the process, whatever its level is: `audit.recorded`, under the logger `audit`."""
    for row in rows:
        # made anew each time, so that it is that of the settings at hand
        structlog.wrap_logger(None, wrapper_class=_EVERY_LEVEL).info("audit.recorded", logger="audit", audit=as_ecs(row))


def tell_unwritten(events: Iterable[Event], reason: str) -> None:
    """Write to the log what could not be put on record."""
    for event in events:
        kept = {"action": event.action.value, "tenant": event.tenant, "actor": event.actor, "on": event.on}
        structlog.get_logger().error("audit.not_written", reason=reason, **kept, details=event.details)
