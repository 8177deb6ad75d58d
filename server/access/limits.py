"""What a key with limits may not do: give, or change, what has none of them.

A user, a role and a tenant know no limits to models, collections, networks or time. Whoever is limited would get around it with
a password that they have given, or a role that they have changed.
"""

from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import denials
from core.principals import Principal, Scope
from core.tables import APIKey, Collection, CollectionShare, ShareAccess, ShareKind
from retrievers.sharing import Level, levels_of

#: Keys that took each other's place are followed this far.
_ROTATIONS = 100


async def refuse_limited(session: AsyncSession, principal: Principal) -> None:
    """Refuse to let somebody with limits decide who may do what.

    The end of a key counts where the key stands for itself: a user or service account lives on after theirs.

    Raises:
        Forbidden: `more_than_own`.
    """
    limits = list(principal.limits)
    key = await session.get(APIKey, principal.key_id) if principal.key_id is not None else None
    if key is not None and key.user_id is None and await end_of_key(session, key.id) is not None:
        limits.append("expires_at")
    refuse_more(principal, limits)


def refuse_more(principal: Principal, limits: list[str]) -> None:
    """Refuse, and put on record, what would pass these limits; without any, nothing is refused.

    Raises:
        Forbidden: `more_than_own`.
    """
    if limits:
        text = f"This key is limited, and what it would change is not: {', '.join(limits)}."
        raise denials.more_than_own(principal, limits, text)


async def refuse_unseen(
    session: AsyncSession, principal: Principal, kind: ShareKind, subject: str, within: frozenset[str] | None = None
) -> None:
    """Refuse to let somebody put anybody, themselves included, where more is shared than they may use themselves: into a team,
    or a role. `within` names the collections that matter; None is all.

    Raises:
        Forbidden: `more_than_own`.
    """
    query = (
        select(Collection, CollectionShare.access)
        .join(CollectionShare, col(CollectionShare.collection_id) == col(Collection.id))
        .where(Collection.tenant == principal.tenant, col(Collection.deleted_at).is_(None))
        .where(CollectionShare.kind == kind.value, CollectionShare.subject == subject)
    )
    if within is not None:
        query = query.where(col(Collection.name).in_(within))
    shared = (await session.exec(query)).all()
    levels = await levels_of(session, principal, [collection for collection, _ in shared])
    if not all(
        level >= (Level.WRITE if access == ShareAccess.WRITE else Level.READ) and _may(principal, access)
        for level, (_, access) in zip(levels, shared, strict=True)
    ):
        text = f"Nobody gives more than they have: collections are shared with this {kind.value} that you may not use so."
        raise denials.more_than_own(principal, ["shared_collections"], text)


def _may(principal: Principal, access: str) -> bool:
    may = principal.may_search and (access != ShareAccess.WRITE or principal.may(Scope.RAG_WRITE))
    return may or principal.may(Scope.RAG_MANAGE)


async def end_of_key(session: AsyncSession, key_id: str | None) -> datetime | None:
    """When the rights of a key end; None for never. One that was rotated has those of the key in its place."""
    for _ in range(_ROTATIONS):
        key = await session.get(APIKey, key_id) if key_id is not None else None
        if key is None or key.replaced_by is None:
            return None if key is None else key.expires_at
        key_id = key.replaced_by
    return None
