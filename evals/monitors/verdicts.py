"""What a monitor finds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from core.alerts import AlertKind
from core.tables import AlertRow

#: How much better than its limit something has to be until it counts as well again, so that nothing flaps around it.
WELL_BELOW = 0.9


@dataclass(frozen=True, slots=True)
class Finding:
    """Something is wrong. `tenant` is None for what is the operator's to look at."""

    kind: AlertKind
    key: str
    tenant: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


class Monitor(Protocol):
    """Looks for some kinds of trouble."""

    kinds: frozenset[AlertKind]

    async def look(self) -> list[Finding]:
        """What is wrong now."""

    def is_over(self, alert: AlertRow) -> bool:
        """Whether an alert of its kinds is over, by what the last look has seen. False where that is not known."""
