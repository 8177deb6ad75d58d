"""Whether the record is as it was written: no event edited, removed, put elsewhere, or cut off the end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hmac import compare_digest

from sqlalchemy import ColumnElement, Connection, and_, select
from sqlmodel import col

from core.audit.actions import Action
from core.audit.chain import GENESIS, address_digest, digest, seal
from core.audit.erasures import Erasures
from core.keys import Hasher
from core.principals import DEFAULT_TENANT
from core.row_security import across_tenants
from core.tables import APIKey, AuditEvent, AuditHead, User

_AT_ONCE = 1000
#: What reading a row raises whose columns hold what they never would.
UNREADABLE = (ValueError, TypeError)


@dataclass(frozen=True, slots=True)
class Anchor:
    """An event whose hash was written down elsewhere: in a SIEM, or from an earlier verification."""

    tenant: str
    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Break:
    """The first event of a chain that is not as it was written, and why."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one chain. `events` were found good; `hash` is that of the last of them. `broken` is None where all is."""

    tenant: str
    events: int
    hash: str
    broken: Break | None


def verify_all(connection: Connection, hasher: Hasher, anchors: Sequence[Anchor] = ()) -> Iterator[Finding]:
    """Verify every chain: of all that have events, a head, an anchor, or were begun. In one snapshot, see `snapshot`.

    The operator's is there wherever another one is, or a key or a user: making the first of them begins it.
    """
    begun = select(col(AuditEvent.object_id)).where(
        col(AuditEvent.tenant) == DEFAULT_TENANT, col(AuditEvent.action) == Action.AUDIT_STARTED.value
    )
    tenants = {anchor.tenant for anchor in anchors} | {str(tenant) for tenant in connection.scalars(begun)}
    tenants |= set(connection.scalars(select(col(AuditHead.tenant))))
    tenants |= set(connection.scalars(select(col(AuditEvent.tenant)).distinct()))
    if tenants or any(connection.scalar(select(column).limit(1)) for column in (col(APIKey.id), col(User.id))):
        tenants.add(DEFAULT_TENANT)
    for tenant in sorted(tenants):
        yield verify(connection, hasher, tenant, anchors)


def verify(connection: Connection, hasher: Hasher, tenant: str, anchors: Sequence[Anchor] = ()) -> Finding:
    """Verify a tenant's chain. Reads all of it, a thousand events at a time, and where the operator's says that it began."""
    if tenant != DEFAULT_TENANT and _is_begun_anew(connection, tenant, anchors):
        return Finding(tenant, 0, GENESIS, Break(1, "it was emptied, and begun anew"))
    expected = {anchor.number: anchor.hash for anchor in anchors if anchor.tenant == tenant}
    erasures = Erasures(connection, tenant)
    good, last = 0, GENESIS
    try:
        for row in _rows(connection, tenant):
            reason = _why_not(hasher, row, good + 1, last, erasures)
            if reason is None and not compare_digest(expected.pop(row.number, row.hash), row.hash):
                reason = "it is not the event that the anchor names: the chain was written anew"
            if reason is not None:
                return Finding(tenant, good, last, Break(good + 1, reason))
            good, last = row.number, row.hash
    except UNREADABLE:
        return Finding(tenant, good, last, Break(good + 1, "it cannot be read: it was changed"))
    reason = _why_no_end(connection, hasher, tenant, good, last)
    if reason is None and expected:
        reason = "the chain ends before the event that the anchor names"
    return Finding(tenant, good, last, None if reason is None else Break(good + 1, reason))


def _is_begun_anew(connection: Connection, tenant: str, anchors: Sequence[Anchor]) -> bool:
    """Whether another tenant's chain was there before: the operator's, which tells of each beginning, tells of two, or of one
    and is itself not the one that began with the event that an anchor names."""
    number, hashed = col(AuditEvent.number), col(AuditEvent.hash)
    operators = col(AuditEvent.tenant) == DEFAULT_TENANT
    of_it = (
        col(AuditEvent.action) == Action.AUDIT_STARTED.value,
        col(AuditEvent.object_type) == "tenant",
        col(AuditEvent.object_id) == tenant,
    )
    with across_tenants(connection):
        begun = len(connection.scalars(select(number).where(operators, *of_it).limit(2)).all())
        first = connection.scalar(select(hashed).where(operators, number == 1)) if begun == 1 else None
    known = [anchor.hash for anchor in anchors if (anchor.tenant, anchor.number) == (DEFAULT_TENANT, 1)]
    return begun > 1 or (first is not None and any(not compare_digest(first, each) for each in known))


def snapshot(connection: Connection) -> None:
    """Let all that is read from now on be of one moment, so that events that come meanwhile do not look like a break."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    else:
        connection.exec_driver_sql("BEGIN")


def _rows(connection: Connection, tenant: str) -> Iterator[AuditEvent]:
    """All there are, also what was put in before the first. One that cannot be read raises what is `UNREADABLE`, after those
    before it."""
    number, of = col(AuditEvent.number), col(AuditEvent.tenant) == tenant
    after: int | None = None
    while True:
        here = of if after is None else and_(of, number > after)
        numbers = connection.scalars(select(number).where(here).order_by(number).limit(_AT_ONCE)).all()
        try:
            found = _read(connection, of, numbers)
        except UNREADABLE:
            for each in numbers:
                yield from _read(connection, of, [each])
            raise
        yield from found
        if len(numbers) < _AT_ONCE:
            return
        after = numbers[-1]


def _read(connection: Connection, of: ColumnElement[bool], numbers: Sequence[int]) -> list[AuditEvent]:
    if not numbers:
        return []
    number = col(AuditEvent.number)
    query = select(AuditEvent).where(of, number.between(numbers[0], numbers[-1])).order_by(number)
    return [AuditEvent(**row) for row in connection.execute(query).mappings()]


def _why_not(hasher: Hasher, row: AuditEvent, number: int, last: str, erasures: Erasures) -> str | None:
    if row.number < number:
        return f"event {row.number} was put in before it"
    if row.number != number:
        return f"it is missing: event {row.number} follows"
    if not compare_digest(row.previous_hash, last):
        return "it does not follow the event before it"
    if not compare_digest(row.hash, digest(hasher, row)):
        return "it was changed"
    if row.address is not None and row.address_digest != address_digest(hasher, row.tenant, row.number, row.address):
        return "its address was changed"
    if row.address is None and row.address_digest is not None and not erasures.cover(row):
        return "its address was erased, and no erasure on record says so"
    if row.action == Action.AUDIT_BROKEN:
        return "the end of the chain was changed before it"
    return None


def _why_no_end(connection: Connection, hasher: Hasher, tenant: str, good: int, last: str) -> str | None:
    query = select(col(AuditHead.number), col(AuditHead.hash), col(AuditHead.seal)).where(col(AuditHead.tenant) == tenant)
    head = connection.execute(query).first()
    if head is None:
        return "the chain is gone, or its end is"
    number, ended, sealed = head
    if not compare_digest(sealed, seal(hasher, tenant, number, ended)):
        return "the end of the chain was changed"
    if (number, ended) != (good, last):
        return f"the chain is cut: it has {number} events"
    return None
