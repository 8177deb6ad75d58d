"""What policies did, told in one place: personal data found or blocked, a guard that found something, data that was kept back.

Events name types, guards and aliases, never what was found.
"""

from collections.abc import Mapping
from typing import Literal

import structlog

from core.context import current

log = structlog.get_logger()

Event = Literal["pii.found", "pii.blocked", "guard.found", "guard.blocked", "data_policy.refused", "policies.changed"]
_ALARMING: frozenset[Event] = frozenset({"pii.blocked", "guard.blocked", "data_policy.refused"})


def report(event: Event, **facts: str | int | list[str] | Mapping[str, int] | None) -> None:
    """Tell of something that a policy did in the request being served."""
    principal = current().principal
    tell = log.warning if event in _ALARMING else log.info
    tell(event, tenant=principal.tenant, principal=principal.id, **facts)
