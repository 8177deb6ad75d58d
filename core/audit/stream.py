"""Events as others read them: the one schema for exports and for the log, with the field names of the Elastic Common Schema.

What is on record goes to the log's stream `audit`, after its commit. What was refused goes to the stream `security` as it
happens, also while the database is away.
"""

from collections.abc import Iterable
from datetime import UTC
from typing import Any

import orjson
import structlog

from core.audit.actions import Action, Outcome, category
from core.audit.events import Event
from core.tables import AuditEvent

#: The log itself was tampered with, or has a gap.
_ALARMING = frozenset({Action.AUDIT_BROKEN, Action.AUDIT_LOST})
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
        log = structlog.wrap_logger(None, wrapper_class=_EVERY_LEVEL)
        log.info("audit.recorded", stream="audit", logger="audit", audit=as_ecs(row))
        if row.action in _ALARMING:
            structlog.get_logger().error(row.action, stream="security", tenant=row.tenant, details=row.details)


def tell_unwritten(events: Iterable[Event], reason: str) -> None:
    """Write to the log what could not be put on record."""
    for event in events:
        kept = {"action": event.action.value, "tenant": event.tenant, "actor": event.actor, "on": event.on}
        structlog.get_logger().error("audit.not_written", stream="audit", reason=reason, **kept, details=event.details)


#: What fails here is an attack, or looks like one; elsewhere it is a mistake or an outage.
_SUSPICIOUS = frozenset({"authentication", "intrusion_detection", "network"})


def tell_refused(event: Event) -> None:
    """Write a refusal, or an attempt that failed, to the log's stream `security`; of other events nothing."""
    failed = event.outcome is Outcome.FAILURE and category(event.action) in _SUSPICIOUS
    if not (failed or event.outcome is Outcome.DENIED):
        return
    on_type, on_id = event.on or (None, None)
    details = dict(event.details)
    repeated = details.pop("repeated", None)
    told = {
        "outcome": event.outcome.value,
        "tenant": event.tenant,
        "principal": event.actor,
        "key_id": event.key_id,
        "address": event.address,
        "request_id": event.request_id,
        "object_type": on_type,
        "object_id": on_id,
        "details": details,
        "repeated": repeated,
    }
    known = {name: value for name, value in told.items() if value not in (None, {})}
    structlog.get_logger().warning(event.action.value, stream="security", **known)
