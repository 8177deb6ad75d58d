"""The month's close: months that take no adjusting entry any more, and the entries that adjust what the ledger was wrong by."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit
from core.database import Database, utc_now
from core.errors import Conflict, InvalidRequest, NotFound
from core.ledger.centres import bounds
from core.ledger.usage import Line, usage
from core.principals import Principal
from core.tables import ClosedMonth, LedgerAdjustment, LedgerRow, TeamMember

#: What of an entry of the ledger an adjusting entry for it takes over.
_OF_ENTRY = (
    *("principal", "key_id", "teams", "alias", "version", "provider", "model", "capability", "session_id", "cache"),
    "tags",
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a month stands: what the ledger has of it now, and what it was closed at; None while it is open."""

    month: str
    now: Line
    closed: ClosedMonth | None

    @property
    def late_usd(self) -> Decimal | None:
        """What came into the ledger after the close. None while the month is open."""
        return None if self.closed is None else self.now.cost_usd - self.closed.cost_usd


async def standing(database: Database, tenant: str, month: str) -> Standing:
    """How a month of the tenant's stands. Raises InvalidRequest."""
    begin, end = bounds(month)
    async with database.session(tenant) as session:
        closed = await session.get(ClosedMonth, (tenant, month))
    (now,) = await usage(database, tenant, (), begin, end)
    return Standing(month, now, closed)


async def close(database: Database, principal: Principal, month: str) -> Standing:
    """Close a month for good.

    Raises:
        InvalidRequest: there is no such month.
        Conflict: `month_open`, it is not over yet; `month_closed`, it was closed before.
    """
    begin, end = bounds(month)
    if utc_now() < end:
        raise Conflict("The month is not over yet.", code="month_open", param="month")
    async with database.transaction(principal.tenant) as session:
        await _alone(session, principal.tenant)
        if await session.get(ClosedMonth, (principal.tenant, month)) is not None:
            raise _closed(month, "month")
        (line,) = await usage(database, principal.tenant, (), begin, end)  # no adjusting entry can come before the end of this
        row = ClosedMonth(
            tenant=principal.tenant,
            month=month,
            cost_usd=line.cost_usd,
            attempts=line.attempts,
            unpriced=line.unpriced,
            created_by=principal.id,
        )
        session.add(row)
        await session.flush()
        details: dict[str, audit.Detail] = {"cost_usd": f"{row.cost_usd:f}", "attempts": row.attempts}
        await audit.record(session, audit.Action.MONTH_CLOSED, on=("month", month), details=details, principal=principal)
    return Standing(month, line, row)


async def adjust(database: Database, principal: Principal, told: Mapping[str, Any]) -> LedgerAdjustment:
    """Add an adjusting entry: `told` are its fields. Without `at` it counts now, in the month that is open.

    Raises:
        InvalidRequest: a time to come; `invalid_corrects`: `corrects` is the month that it counts in, one that has not come, or
            another one than the entry's.
        Conflict: `month_closed`, the month of `at` takes none any more.
        NotFound: `entry_not_found`, the ledger has no such entry of the tenant's.
    """
    fields = {name: value for name, value in told.items() if value is not None}
    at: datetime = fields.pop("at", None) or utc_now()
    if at > utc_now():
        raise InvalidRequest("An adjusting entry cannot be of a time to come.", param="at")
    month, corrects = at.astimezone(UTC).isoformat()[:7], fields.get("corrects")
    if corrects == month:
        raise _wrong("It counts in that month itself: leave `corrects` out.")
    if corrects is not None and corrects > utc_now().isoformat()[:7]:
        raise _wrong("That month has not come yet.")
    async with database.transaction(principal.tenant) as session:
        await _alone(session, principal.tenant)
        if await session.get(ClosedMonth, (principal.tenant, month)) is not None:
            raise _closed(month, "at")
        if (entry := fields.get("entry")) is not None:
            found = await session.get(LedgerRow, entry)
            if found is None:
                raise NotFound("The ledger has no such entry.", code="entry_not_found", param="entry")
            fields |= {name: getattr(found, name) for name in _OF_ENTRY}
            fields["entry_at"] = found.at
            fields["corrects"] = found.at.astimezone(UTC).isoformat()[:7]
            if corrects not in (None, fields["corrects"]):
                raise _wrong(f"The entry is of {fields['corrects']}: leave `corrects` out.")
        else:
            fields["teams"] = await _teams_of(session, fields.get("principal"))
        if fields.get("corrects") == month:
            del fields["corrects"]
        row = LedgerAdjustment(tenant=principal.tenant, at=at, created_by=principal.id, **fields)
        session.add(row)
        await session.flush()
        details: dict[str, audit.Detail] = {"cost_usd": f"{row.cost_usd:f}", "month": month, "corrects": row.corrects}
        await audit.record(
            session, audit.Action.LEDGER_ADJUSTED, on=("adjustment", row.id), details=details, principal=principal
        )
    return row


async def _teams_of(session: AsyncSession, principal: str | None) -> str:
    """The principal's teams now, as the ledger has them."""
    if principal is None:
        return ""
    teams = (await session.exec(select(TeamMember.team_id).where(TeamMember.user_id == principal))).all()
    return ",".join(sorted(teams))


async def _alone(session: AsyncSession, tenant: str) -> None:
    """Let no other close or adjusting entry of the tenant's come before the end of this transaction. SQLite has one writer."""
    connection = await session.connection()
    if connection.dialect.name == "postgresql":
        digest = hashlib.sha256(f"month\0{tenant}".encode()).digest()
        await connection.execute(select(func.pg_advisory_xact_lock(int.from_bytes(digest[:8], signed=True))))


def _wrong(why: str) -> InvalidRequest:
    return InvalidRequest(f"The adjusting entry cannot correct this month. {why}", code="invalid_corrects", param="corrects")


def _closed(month: str, param: str) -> Conflict:
    return Conflict(
        f"The month {month} is closed. An adjusting entry counts in an open one: leave `at` out, and say what it corrects.",
        code="month_closed",
        param=param,
    )
