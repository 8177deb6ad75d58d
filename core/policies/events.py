"""What policies did, told in one place: personal data found or blocked, a guard that found something, data that was kept back.

What was refused is put on record, which tells the log of it too (stream `security`). Events name types, guards and aliases,
never what was found.
"""

from collections.abc import Mapping
from typing import Literal

import structlog

from core import audit
from core.audit import Action, Outcome
from core.context import current

log = structlog.get_logger(stream="security")

Event = Literal["pii.found", "pii.blocked", "guard.found", "guard.blocked", "data_policy.refused"]
#: Those that are put on record. What is found and let through is not: it would be a line for each request.
_ON_RECORD: Mapping[Event, Action] = {
    "pii.blocked": Action.PII_BLOCKED,
    "guard.blocked": Action.GUARD_BLOCKED,
    "data_policy.refused": Action.DATA_POLICY_REFUSED,
}


def report(event: Event, **facts: str | int | list[str] | Mapping[str, int] | None) -> None:
    """Tell of something that a policy did in the request being served."""
    if (action := _ON_RECORD.get(event)) is not None:
        details = {name: fact for name, fact in facts.items() if not isinstance(fact, Mapping)}
        audit.note(action, outcome=Outcome.DENIED, details=details)
    else:
        principal = current().principal
        log.info(event, tenant=principal.tenant, principal=principal.id, **facts)
