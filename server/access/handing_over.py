"""What becomes of the collections that somebody shares, once they are gone."""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit
from core.errors import Conflict, InvalidRequest
from core.principals import Principal
from core.tables import Collection, CollectionShare, User
from server.access.giving import refuse_handing_over


async def settle_shared(
    session: AsyncSession, principal: Principal, user: User, *, hand_over_to: str | None, drop_shared: bool
) -> Sequence[Collection]:
    """Give the collections that the user shares to somebody else; those that were given.

    Raises:
        InvalidRequest: `user_not_found`, nobody who could take them over; they are to be given and deleted at once.
        Conflict: `shared_collections`, and it is not said what becomes of them.
        Forbidden: `more_than_own`: they are not the principal's to give.
    """
    if hand_over_to is not None and drop_shared:
        raise InvalidRequest("Shared collections are handed over or deleted: ask for one of both.", param="shared")
    others = select(CollectionShare.collection_id).where(
        CollectionShare.collection_id == Collection.id, CollectionShare.subject != user.id
    )
    query = select(Collection).where(
        Collection.tenant == user.tenant, Collection.owner == user.id, col(Collection.deleted_at).is_(None), others.exists()
    )
    shared = (await session.exec(query.with_for_update())).all()
    if hand_over_to is not None:
        heir = await session.get(User, hand_over_to)
        if heir is None or heir.tenant != user.tenant or heir.disabled_at is not None or heir.id == user.id:
            raise InvalidRequest(
                "Nobody of this identifier can take collections over.", code="user_not_found", param="hand_over_to"
            )
        await refuse_handing_over(session, principal, user, shared)
        for collection in shared:
            collection.owner = heir.id
            session.add(collection)
        return shared
    if shared and not drop_shared:
        text = f"{len(shared)} collections of this user are shared: name who takes them over, or have them deleted too."
        raise Conflict(text, code="shared_collections")
    return ()


async def record_handed_over(
    session: AsyncSession, principal: Principal, user: User, collections: Sequence[Collection]
) -> None:
    """Put on record who has each of the collections now, and who had it."""
    for collection in collections:
        on, details = ("collection", collection.id), {"fields": ["owner"], "owner": collection.owner, "owner_before": user.id}
        await audit.record(session, audit.Action.COLLECTION_CHANGED, on=on, details=details, principal=principal)
