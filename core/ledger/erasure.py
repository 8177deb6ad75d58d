"""Takes out of the ledger what an erased user's requests named in words of their own: sessions and tags.

Rows and amounts stay, so that the sums do. The hours of `usage_hours` that were told apart by tags are taken back, and their
entries are rolled up again like any that are new: what then falls together is one row, exact to the last digit.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, cast, delete, func, or_, select, tuple_, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from core.ledger.facts import ENTRY, HOUR, SPAN
from core.tables import APIKey, LedgerAdjustment, LedgerRow, UsageHour, UsageLatency, UsageSpan, UsageTurn

#: Entries of one transaction, beside others of the same hours that are rolled up again with them.
AT_ONCE = 500
_ADJUSTMENT: Any = LedgerAdjustment.__table__.c  # type: ignore[attr-defined]
_TURN: Any = UsageTurn.__table__.c  # type: ignore[attr-defined]
_HOUR = timedelta(hours=1)

Position = tuple[datetime, str]


class Words:
    """The words of `user`'s requests, and of those that keys made which act for them."""

    def __init__(self, tenant: str, user: str) -> None:
        self._tenant, self._user = tenant, user

    async def clear_some(self, session: AsyncSession, after: Position | None) -> tuple[int, Position | None]:
        """Clear the words of the next entries behind `after`, in the order of their time: how many had any, and the position
        to go on from; None at the end. May be repeated: entries without words are passed over."""
        # no pass of a roll-up holds that has read the words by now, and none begins before the end of the transaction
        await session.exec(update(UsageTurn).where(_TURN.id == 1).values(passes=_TURN.passes + 1))
        theirs = (ENTRY.tenant == self._tenant, self._whose(ENTRY))
        query = select(ENTRY.id, ENTRY.at, ENTRY.rolled, ENTRY.tags).where(
            *theirs, or_(ENTRY.session_id.is_not(None), _has_tags(ENTRY))
        )
        if after is not None:
            query = query.where(tuple_(ENTRY.at, ENTRY.id) > after)
        connection = await session.connection()
        entries = (await connection.execute(query.order_by(ENTRY.at, ENTRY.id).limit(AT_ONCE))).all()
        if not entries:
            return 0, None
        for hour in sorted({_hour_of(entry.at) for entry in entries if entry.rolled and entry.tags}):
            await self._take_back(session, hour)
        ids = [entry.id for entry in entries]
        await session.exec(update(LedgerRow).where(ENTRY.id.in_(ids)).values(session_id=None, tags={}))
        return len(entries), (entries[-1].at, entries[-1].id)

    async def clear_adjustments(self, session: AsyncSession) -> int:
        """The same of the adjusting entries for them; how many had any."""
        named = or_(_ADJUSTMENT.session_id.is_not(None), _has_tags(_ADJUSTMENT))
        theirs = (_ADJUSTMENT.tenant == self._tenant, self._whose(_ADJUSTMENT), named)
        return int((await session.exec(update(LedgerAdjustment).where(*theirs).values(session_id=None, tags={}))).rowcount)

    def _whose(self, row: Any) -> ColumnElement[bool]:
        keys = select(col(APIKey.id)).where(col(APIKey.tenant) == self._tenant, col(APIKey.user_id) == self._user)
        return or_(row.principal == self._user, row.key_id.in_(keys))

    async def _take_back(self, session: AsyncSession, hour: datetime) -> None:
        """Have all of the user's entries of an hour rolled up again."""
        rows = select(HOUR.id).where(HOUR.tenant == self._tenant, HOUR.hour == hour, self._whose(HOUR))
        await self._leave_alone(session, rows)
        await session.exec(delete(UsageSpan).where(SPAN.hour_id.in_(rows)))
        await session.exec(delete(UsageLatency).where(col(UsageLatency.hour_id).in_(rows)))
        await session.exec(delete(UsageHour).where(HOUR.id.in_(rows)))
        within = (ENTRY.tenant == self._tenant, ENTRY.at >= hour, ENTRY.at < hour + _HOUR, self._whose(ENTRY))
        await session.exec(update(LedgerRow).where(*within, ENTRY.rolled).values(rolled=False))

    async def _leave_alone(self, session: AsyncSession, rows: Any) -> None:
        """A request that is in one more row than in these counts in that one, and is no longer named for it."""
        here = select(SPAN.request_id).where(SPAN.hour_id.in_(rows))
        other = select(SPAN.request_id, func.min(SPAN.hour_id).label("hour_id")).where(
            SPAN.tenant == self._tenant, SPAN.request_id.in_(here), SPAN.hour_id.not_in(rows)
        )
        connection = await session.connection()
        alone: Sequence[Any] = (await connection.execute(other.group_by(SPAN.request_id).having(func.count() == 1))).all()
        for request_id, hour_id in alone:
            await session.exec(update(UsageHour).where(HOUR.id == hour_id).values(requests=HOUR.requests + 1))
            await session.exec(delete(UsageSpan).where(SPAN.request_id == request_id, SPAN.hour_id == hour_id))


def _has_tags(row: Any) -> ColumnElement[bool]:
    return cast(row.tags, String) != "{}"


def _hour_of(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
