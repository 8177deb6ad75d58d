"""The ledger's entries one by one, the newest first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_
from sqlmodel import col, select

from core.database import Database
from core.errors import InvalidRequest
from core.tables import LedgerRow


@dataclass(frozen=True, slots=True)
class Wanted:
    """Entries of the tenant's from `since` on and before `until` that have all of `only`, by the names of columns."""

    tenant: str
    since: datetime | None = None
    until: datetime | None = None
    only: Mapping[str, str] = field(default_factory=dict)


async def entries(
    database: Database, wanted: Wanted, most: int, after: str | None = None
) -> tuple[Sequence[LedgerRow], str | None]:
    """At most so many, behind the position `after`; and the position to go on from, None at the end.

    Raises:
        InvalidRequest: `invalid_cursor`.
    """
    at, identity = col(LedgerRow.at), col(LedgerRow.id)
    conditions: list[Any] = [getattr(LedgerRow, name) == value for name, value in wanted.only.items()]
    conditions += [] if wanted.since is None else [at >= wanted.since]
    conditions += [] if wanted.until is None else [at < wanted.until]
    if after is not None:
        since, identifier = _read(after)
        conditions += [at <= since, or_(at < since, and_(at == since, identity < identifier))]
    query = select(LedgerRow).where(LedgerRow.tenant == wanted.tenant, *conditions)
    async with database.session(wanted.tenant) as session:
        rows = (await session.exec(query.order_by(at.desc(), identity.desc()).limit(most + 1))).all()
    shown = rows[:most]
    return shown, f"{shown[-1].at.isoformat()} {shown[-1].id}" if len(rows) > most else None


def _read(position: str) -> tuple[datetime, str]:
    moment, _, identifier = position.partition(" ")
    at: datetime | None
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or not identifier:
        raise InvalidRequest("The cursor is not one that this list gave.", code="invalid_cursor", param="cursor")
    return at, identifier
