"""Who may see a collection of their tenant, and who may change it: its owner, whom it is shared with, who manages all.

What somebody may not see is not there for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from sqlalchemy import ColumnElement
from sqlmodel import and_, col, delete, false, or_, select, true
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import Database
from core.errors import InvalidRequest
from core.principals import Principal, Role, Scope
from core.tables import APIKey, Collection, CollectionShare, CustomRole, ShareAccess, ShareKind, Team, User

MOST_SHARES = 200


class Level(IntEnum):
    """How far somebody's rights over a collection go; each holds those before it."""

    NONE = 0
    READ = 1
    WRITE = 2
    MANAGE = 3


@dataclass(frozen=True, slots=True)
class Share:
    """With whom (`subject`: a principal's or team's id, a role's name; empty for the tenant), and for what."""

    kind: ShareKind
    subject: str
    access: ShareAccess


def visible_to(principal: Principal) -> ColumnElement[bool]:
    """The condition of a collection of their tenant that the principal may at least read."""
    seen: ColumnElement[bool] = true()
    if not principal.may(Scope.RAG_MANAGE):
        shared = select(CollectionShare.collection_id).where(CollectionShare.collection_id == Collection.id, _with(principal))
        seen = or_(col(Collection.owner) == principal.id, shared.exists())
    if principal.collections is not None:
        seen = and_(seen, col(Collection.name).in_(principal.collections))
    return seen


async def searched_by(database: Database, principal: Principal) -> frozenset[str]:
    """The identifiers of all collections that the principal may search."""
    if not principal.may_search:
        return frozenset()
    query = select(Collection.id).where(Collection.tenant == principal.tenant, visible_to(principal))
    async with database.session(principal.tenant) as session:
        return frozenset((await session.exec(query)).all())


async def levels_of(session: AsyncSession, principal: Principal, collections: Sequence[Collection]) -> list[Level]:
    """What the principal may do with each of these collections."""
    own = [collection for collection in collections if _may_use(principal, collection)]
    if principal.may(Scope.RAG_MANAGE):
        levels = {collection.id: Level.MANAGE for collection in own}
    else:
        levels = {collection.id: Level.MANAGE for collection in own if collection.owner == principal.id}
        rest = [collection.id for collection in own if collection.id not in levels]
        if rest:
            query = select(CollectionShare.collection_id, CollectionShare.access)
            shared = await session.exec(query.where(col(CollectionShare.collection_id).in_(rest), _with(principal)))
            for collection_id, access in shared.all():
                level = Level.WRITE if access == ShareAccess.WRITE else Level.READ
                levels[collection_id] = max(level, levels.get(collection_id, Level.NONE))
    return [levels.get(collection.id, Level.NONE) for collection in collections]


async def shares_of(session: AsyncSession, collection: Collection) -> list[Share]:
    """Whom it is shared with, the whole tenant first."""
    query = select(CollectionShare).where(CollectionShare.collection_id == collection.id)
    rows = (await session.exec(query.order_by(CollectionShare.subject, CollectionShare.kind))).all()
    return [Share(ShareKind(row.kind), row.subject, ShareAccess(row.access)) for row in rows]


async def replace_shares(session: AsyncSession, collection: Collection, shares: Sequence[Share]) -> None:
    """Share with these and nobody else. A key stands for whom its calls act for: its user, or the first of the keys that took
    each other's place.

    Raises:
        InvalidRequest: `unknown_subject`, the tenant has no such user, team or role; `too_many_shares`.
    """
    if len(shares) > MOST_SHARES:
        raise InvalidRequest(f"A collection has at most {MOST_SHARES} shares.", code="too_many_shares", param="shares")
    meant: dict[tuple[ShareKind, str], Share] = {}
    for number, share in enumerate(shares):
        subject = await _subject(session, collection.tenant, share)
        if subject is None:
            raise InvalidRequest(f"There is no such {share.kind}.", code="unknown_subject", param=f"shares.{number}.id")
        meant[share.kind, subject] = replace(share, subject=subject)
    await session.exec(delete(CollectionShare).where(col(CollectionShare.collection_id) == collection.id))
    await session.flush()
    for share in meant.values():
        session.add(
            CollectionShare(
                collection_id=collection.id, kind=share.kind.value, subject=share.subject, access=share.access.value
            )
        )
    await session.flush()


async def is_shared_with_role(session: AsyncSession, tenant: str, role: str) -> bool:
    """Whether anything of the tenant is shared with a role."""
    query = select(CollectionShare.collection_id).join(Collection, col(Collection.id) == col(CollectionShare.collection_id))
    shared = query.where(Collection.tenant == tenant, CollectionShare.kind == ShareKind.ROLE.value)
    return (await session.exec(shared.where(CollectionShare.subject == role).limit(1))).first() is not None


def _with(principal: Principal) -> ColumnElement[bool]:
    """The condition of a share that the principal is meant by."""
    kind, subject = col(CollectionShare.kind), col(CollectionShare.subject)
    return or_(
        kind == ShareKind.TENANT.value,
        and_(kind == ShareKind.ROLE.value, subject == principal.role) if principal.role_held else false(),
        and_(kind == ShareKind.USER.value, subject == principal.id),
        and_(kind == ShareKind.TEAM.value, subject.in_(principal.teams)),
    )


def _may_use(principal: Principal, collection: Collection) -> bool:
    return collection.tenant == principal.tenant and principal.may_use_collection(collection.name)


async def _subject(session: AsyncSession, tenant: str, share: Share) -> str | None:
    """The principal's, team's or role's name that a share goes by; None where the tenant has nobody of the one it gives."""
    given = share.subject
    if share.kind == ShareKind.TENANT:
        return given if given == "" else None
    if share.kind == ShareKind.ROLE:
        return given if given in set(Role) or await session.get(CustomRole, (tenant, given)) is not None else None
    if share.kind == ShareKind.TEAM:
        team = await session.get(Team, given)
        return given if team is not None and team.tenant == tenant else None
    user, key = await session.get(User, given), await session.get(APIKey, given)
    if user is not None and user.tenant == tenant:
        return given
    return (key.user_id or key.stands_for or key.id) if key is not None and key.tenant == tenant else None
