"""What is known of a request's end, by each version that it was assigned to while versions of an alias are compared.

A request is in the ledger by its calls of providers. One that is refused before any call has none, and one whose answer a guard
withholds has calls that went well: neither tells there how its version did.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final

from core.context import RequestContext
from core.ledger.writer import record
from core.tables.columns import new_id

#: How requests end beside the codes of errors.
OK, CANCELLED = "ok", "cancelled"
_LEFT: Final = 499
_CHARACTERS: Final = 64
_id = new_id("out")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row of `request_outcomes`. `latency_ms` and `cost_usd` are those of the request's calls for the alias; None: there was
    none, and of the cost also that no price is known."""

    request_id: str
    tenant: str
    alias: str
    version: str
    unit: str
    status: str
    http_status: int
    latency_ms: float | None = None
    cost_usd: Decimal | None = None
    exposure: str | None = None
    id: str = field(default_factory=_id)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def row(self) -> dict[str, Any]:
        """The columns of the table, by name."""
        return {name: getattr(self, name) for name in _NAMES}


_NAMES = tuple(one.name for one in fields(Outcome))


def enter_outcomes(request: RequestContext, *, left: bool = False) -> None:
    """Put on record how a request has ended, for each version that it was given while others are tried beside it. `left`: its
    caller did not wait for the end. Never blocks; what was entered once is not entered again."""
    for outcome in _of(request, left=left):
        record(outcome)
    request.versions.compared.clear()


def _of(request: RequestContext, *, left: bool) -> Iterator[Outcome]:
    status, http_status = request.error or ((CANCELLED, _LEFT) if left else (OK, HTTPStatus.OK.value))
    for alias, unit in request.versions.compared.items():
        latency_ms, cost_usd = request.versions.taken.get(alias, (None, None))
        yield Outcome(
            request_id=request.request_id,
            tenant=request.principal.tenant,
            alias=alias,
            version=request.versions[alias].label,
            unit=unit,
            status=status[:_CHARACTERS],
            http_status=http_status,
            latency_ms=latency_ms,
            cost_usd=cost_usd,
            exposure=request.exposures.get(alias),
        )
