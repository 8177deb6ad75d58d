"""Finding events of a tenant."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from core.audit.actions import Action, Outcome
from core.audit.verification import UNREADABLE
from core.database import Database
from core.errors import Internal
from core.tables import AuditEvent

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events; None asks for nothing. `since` is included, `until` is not."""

    action: Action | None = None
    outcome: Outcome | None = None
    actor: str | None = None
    object_type: str | None = None
    object_id: str | None = None
    address: str | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def page(
    database: Database, tenant: str, wanted: Filter, *, limit: int, before: int | None
) -> tuple[list[AuditEvent], int | None]:
    """Events, the newest first, and the number that the next page comes before.

    Raises:
        Internal: `audit_broken`: an event cannot be read, see `_read`.
    """
    query = _query(tenant, wanted).order_by(col(AuditEvent.number).desc()).limit(limit + 1)
    if before is not None:
        query = query.where(col(AuditEvent.number) < before)
    rows = await _read(database, tenant, query)
    found = list(rows[:limit])
    return found, found[-1].number if len(rows) > limit else None


async def each(database: Database, tenant: str, wanted: Filter) -> AsyncIterator[AuditEvent]:
    """Every event, the oldest first. Holds no session open between two reads."""
    after = 0
    while True:
        query = _query(tenant, wanted).where(col(AuditEvent.number) > after).order_by(col(AuditEvent.number)).limit(_AT_ONCE)
        rows = await _read(database, tenant, query)
        for row in rows:
            yield row
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1].number


async def _read(database: Database, tenant: str, query: SelectOfScalar[AuditEvent]) -> Sequence[AuditEvent]:
    """The rows. Who has changed one behind the platform's back may have left what is no time, or no JSON."""
    try:
        async with database.session(tenant) as session:
            return (await session.exec(query)).all()
    except UNREADABLE:
        text = "An event of the audit log cannot be read: it was changed. GET /api/v1/audit/verify names it."
        raise Internal(text, code="audit_broken") from None


def _query(tenant: str, wanted: Filter) -> SelectOfScalar[AuditEvent]:
    query = select(AuditEvent).where(AuditEvent.tenant == tenant, col(AuditEvent.number) >= 1)
    equal = {
        col(AuditEvent.action): wanted.action,
        col(AuditEvent.outcome): wanted.outcome,
        col(AuditEvent.actor): wanted.actor,
        col(AuditEvent.object_type): wanted.object_type,
        col(AuditEvent.object_id): wanted.object_id,
        col(AuditEvent.address): wanted.address,
        col(AuditEvent.request_id): wanted.request_id,
    }
    for column, value in equal.items():
        if value is not None:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(col(AuditEvent.at) >= wanted.since)
    if wanted.until is not None:
        query = query.where(col(AuditEvent.at) < wanted.until)
    return query
