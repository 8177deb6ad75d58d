"""The chain: each event's hash covers the one before it, and a sealed head says where the chain ends.

All of it is keyed with the installation's secret, so that whoever writes to the database alone can make no row that fits.
"""

import json
from collections.abc import Sequence
from datetime import UTC

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from core.audit.actions import Action, Outcome
from core.audit.events import Event
from core.database import utc_now
from core.keys import Hasher
from core.principals import DEFAULT_TENANT, SYSTEM
from core.row_security import across_tenants
from core.tables import AuditEvent, AuditHead

#: What the first event of a chain follows.
GENESIS = "0" * 64
_VERSION = "genai.audit.1"


def append(connection: Connection, hasher: Hasher, events: Sequence[Event]) -> list[AuditEvent]:
    """Add events to the chains of their tenants, in the connection's transaction, and give the rows.

    Writers of one chain wait for each other until that transaction ends: call this last in it, for one tenant. On SQLite it
    must have begun as a writer. That a chain was begun is put into the default tenant's, so that none vanishes unseen.
    """
    rows: list[AuditEvent] = []
    begun: list[Event] = []
    for tenant in sorted({event.tenant for event in events} - {DEFAULT_TENANT}):
        mine = [event for event in events if event.tenant == tenant]
        added, is_new = _extend(connection, hasher, tenant, mine)
        rows += added
        if is_new:
            begun.append(_own(Action.AUDIT_STARTED, Outcome.SUCCESS, ("tenant", tenant)))
    if mine := begun + [event for event in events if event.tenant == DEFAULT_TENANT]:
        with across_tenants(connection):
            rows += _extend(connection, hasher, DEFAULT_TENANT, mine, with_it=[event.on[1] for event in begun if event.on])[0]
    return rows


def digest(hasher: Hasher, row: AuditEvent) -> str:
    """The hash that the row should have: HMAC-SHA256 over a canonical JSON array of its fields."""
    fields = [
        *(_VERSION, row.tenant, row.number, row.at.astimezone(UTC).isoformat(timespec="microseconds")),
        *(row.action, row.outcome, row.actor, row.key_id, row.object_type, row.object_id),
        *(row.address_digest, row.request_id, row.details, row.previous_hash),
    ]
    return hasher.digest("audit", json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True))


def address_digest(hasher: Hasher, tenant: str, number: int, address: str) -> str:
    """What stands for an address in the hash."""
    return hasher.digest("audit-address", f"{tenant}\0{number}\0{address}")


def seal(hasher: Hasher, tenant: str, number: int, last: str) -> str:
    """What makes a head one of ours."""
    return hasher.digest("audit-head", f"{tenant}\0{number}\0{last}")


def _extend(
    connection: Connection, hasher: Hasher, tenant: str, events: Sequence[Event], *, with_it: Sequence[str] = ()
) -> tuple[list[AuditEvent], bool]:
    """The rows, and whether the chain begins with them; `with_it` names the chains that begin in the same transaction."""
    number, last, whole = _lock_head(connection, hasher, tenant)
    is_new = number == 0
    if is_new and tenant == DEFAULT_TENANT:  # it begins with the first of all: where others are, it was there, and is gone
        others = select(col(AuditHead.tenant)).where(col(AuditHead.tenant).not_in([tenant, *with_it]))
        whole = whole and connection.scalar(others.limit(1)) is None
    if not whole:  # going on must not heal what was cut: the mark stays, and fails every verification from now on
        events = [_own(Action.AUDIT_BROKEN, Outcome.FAILURE, ("audit", tenant), tenant), *events]
    rows = []
    for event in events:
        number += 1
        row = _row(hasher, event, number, last)
        rows.append(row)
        last = row.hash
    connection.execute(insert(AuditEvent), [row.model_dump() for row in rows])
    connection.execute(
        update(AuditHead)
        .where(col(AuditHead.tenant) == tenant)
        .values(number=number, hash=last, seal=seal(hasher, tenant, number, last))
    )
    return rows, is_new


def _lock_head(connection: Connection, hasher: Hasher, tenant: str) -> tuple[int, str, bool]:
    """Where the chain ends, locked until the transaction does, and whether that is where it should."""
    query = (
        select(col(AuditHead.number), col(AuditHead.hash), col(AuditHead.seal))
        .where(col(AuditHead.tenant) == tenant)
        .with_for_update()
    )
    found = connection.execute(query).first()
    if found is None:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        new = {"tenant": tenant, "number": 0, "hash": GENESIS, "seal": seal(hasher, tenant, 0, GENESIS)}
        connection.execute(dialect.insert(AuditHead).values(new).on_conflict_do_nothing())
        found = connection.execute(query).one()
    number, last, sealed = found
    ends = (
        select(col(AuditEvent.number), col(AuditEvent.hash))
        .where(col(AuditEvent.tenant) == tenant)
        .order_by(col(AuditEvent.number).desc())
    )
    end = connection.execute(ends.limit(1)).first()
    whole = sealed == seal(hasher, tenant, number, last) and (number, last) == (tuple(end) if end else (0, GENESIS))
    return max(number, end[0] if end else 0), last, whole


def _row(hasher: Hasher, event: Event, number: int, previous: str) -> AuditEvent:
    row = AuditEvent(
        tenant=event.tenant,
        number=number,
        at=event.at,
        action=event.action.value,
        outcome=event.outcome.value,
        actor=event.actor,
        key_id=event.key_id,
        object_type=event.on[0] if event.on else None,
        object_id=event.on[1] if event.on else None,
        address=event.address,
        address_digest=None if event.address is None else address_digest(hasher, event.tenant, number, event.address),
        request_id=event.request_id,
        details=event.details,
        previous_hash=previous,
        hash="",
    )
    row.hash = digest(hasher, row)
    return row


def _own(action: Action, outcome: Outcome, on: tuple[str, str], tenant: str = DEFAULT_TENANT) -> Event:
    """An event of the log itself."""
    return Event(tenant, utc_now(), action, outcome, SYSTEM.id, None, on, None, None, {})
