"""What becomes of the collections that somebody shares, once they are gone."""

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import Conflict, InvalidRequest
from core.tables import Collection, CollectionShare, User


async def settle_shared(
    session: AsyncSession, user: User, hand_over_to: str | None, drop_shared: bool
) -> dict[str, dict[str, int]]:
    """Give the collections that the user shares to somebody else; what was done, as a request counts it.

    Raises:
        InvalidRequest: `user_not_found`, nobody who could take them over.
        Conflict: `shared_collections`, and it is not said what becomes of them.
    """
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
        for collection in shared:
            collection.owner = heir.id
            session.add(collection)
        return {"collections": {"handed_over": len(shared)}} if shared else {}
    if shared and not drop_shared:
        text = f"{len(shared)} collections of this user are shared: name who takes them over, or have them deleted too."
        raise Conflict(text, code="shared_collections")
    return {}
