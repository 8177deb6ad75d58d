"""Erasing where requests came from, and whether an address that is not there any more was erased by the platform.

An erasure is on record in the chain that it is done in, with whose addresses and of which time: what is gone and told by none
was taken out behind the platform's back. Versions before told by `user.deleted`, `tenant.deleted`, `erasure.finished` and
`retention.applied` alone, which still count for what they did.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, and_, or_, select, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from core.audit.actions import Action
from core.audit.events import Detail
from core.audit.recording import record
from core.principals import ANONYMOUS, DEFAULT_TENANT, SYSTEM
from core.tables import AuditEvent

_USER, _TENANT = "user", "tenant"
#: Of earlier versions' `retention.applied`: how many addresses it erased.
_COUNTED = "audit_addresses"
_ALWAYS = 2**63
_FOREVER = datetime.max.replace(tzinfo=UTC)


async def erase_addresses(
    session: AsyncSession, tenant: str, actor: str | None = None, *, before: datetime | None = None
) -> int:
    """Erase where requests came from, and tell of how many events: somebody's, with what anonymous callers tried on their
    account, or with None everybody's; those of before a time, or all.

    The chain stays valid, as a digest stands for the address; what was erased is put on record. Call it as late in the
    transaction as `record`.
    """
    chosen = [col(AuditEvent.tenant) == tenant, col(AuditEvent.address).is_not(None)]
    if actor is not None:
        about = (col(AuditEvent.object_type) == _USER, col(AuditEvent.object_id) == actor)
        chosen.append(or_(col(AuditEvent.actor) == actor, and_(col(AuditEvent.actor) == ANONYMOUS.id, *about)))
    if before is not None:
        chosen.append(col(AuditEvent.at) < before)
    erased = (await session.exec(update(AuditEvent).where(*chosen).values(address=None))).rowcount
    if erased:
        details: dict[str, Detail] = {"addresses": erased}
        if before is not None:
            details["before"] = before.astimezone(UTC).isoformat()
        on = (_TENANT, tenant) if actor is None else (_USER, actor)
        who = replace(SYSTEM, tenant=tenant)
        await record(session, Action.AUDIT_ADDRESSES_ERASED, on=on, details=details, principal=who)
    return erased


@dataclass(frozen=True, slots=True)
class _Erasure:
    """Of whom, None being everybody; of the events before this number and this time."""

    actor: str | None
    number: int
    at: datetime


class Erasures:
    """Those of a tenant's chain."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._of: dict[str | None, list[_Erasure]] = {}
        for erasure in sorted(_told(connection, tenant), key=lambda one: (-one.number, one.at)):
            known = self._of.setdefault(erasure.actor, [])
            if not known or known[-1].at < erasure.at:  # else a later one has erased as much
                known.append(erasure)

    def cover(self, row: AuditEvent) -> bool:
        """Whether the event's address was erased by one of them."""
        whom = {None, row.actor} | ({row.object_id} if row.actor == ANONYMOUS.id and row.object_type == _USER else set())
        return any(row.number < one.number and row.at < one.at for actor in whom for one in self._of.get(actor, ()))


def _told(connection: Connection, tenant: str) -> Iterator[_Erasure]:
    event = AuditEvent
    mine = and_(
        col(event.tenant) == tenant,
        col(event.action).in_(
            (Action.AUDIT_ADDRESSES_ERASED, Action.USER_DELETED, Action.ERASURE_FINISHED, Action.RETENTION_APPLIED)
        ),
    )
    operators = and_(
        col(event.tenant) == DEFAULT_TENANT,
        col(event.action).in_((Action.TENANT_DELETED, Action.ERASURE_FINISHED)),
        col(event.object_type) == _TENANT,
        col(event.object_id) == tenant,
    )
    columns = (event.action, event.number, event.at, event.object_type, event.object_id, event.details)
    for row in connection.execute(select(*(col(column) for column in columns)).where(or_(mine, operators))):
        whom = row.object_id if row.object_type == _USER else None
        if row.action == Action.AUDIT_ADDRESSES_ERASED:
            before = row.details.get("before")
            yield _Erasure(whom, row.number, _FOREVER if before is None else datetime.fromisoformat(before))
        elif row.action != Action.RETENTION_APPLIED:
            yield _Erasure(whom, _ALWAYS, _FOREVER)
        elif row.details.get(_COUNTED):
            yield _Erasure(None, row.number, row.at)
