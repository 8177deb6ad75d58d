"""How everything that hangs on somebody ends at once: a user's browser sessions, tokens and keys, what a role gives."""

from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import utc_now
from core.principals import NO_ROLE
from core.tables import APIKey, BrowserSession, Collection, CollectionShare, ShareKind, TokenFamily, User
from server.access.epoch import raise_epoch


async def hold_user(session: AsyncSession, user_id: str | None) -> User | None:
    """A user as they are now, locked, before anything is made that acts for them: what ends all of that finds it, or came
    before. Their keys, sessions and tokens are touched after it. None where it is no user's identifier."""
    if user_id is None:
        return None
    return await session.get(User, user_id, with_for_update=True, populate_existing=True)


async def end_sign_ins(session: AsyncSession, user_id: str, *, keep: str | None = None) -> None:
    """End a user's browser sessions and tokens, in every process once the transaction is committed. `keep` is the digest of a
    session that stays. Keys that act for the user stay."""
    chosen = [col(BrowserSession.user_id) == user_id]
    if keep is not None:
        chosen.append(col(BrowserSession.digest) != keep)
    await session.exec(delete(BrowserSession).where(*chosen))
    families = update(TokenFamily).where(col(TokenFamily.user_id) == user_id, col(TokenFamily.revoked_at).is_(None))
    await session.exec(families.values(revoked_at=utc_now()))
    await raise_epoch(session)


async def end_shares(session: AsyncSession, tenant: str, role: str) -> int:
    """Share nothing with a role any more: another one of its name is another one. How many shares there were."""
    collections = select(Collection.id).where(Collection.tenant == tenant)
    ended = delete(CollectionShare).where(
        col(CollectionShare.collection_id).in_(collections),
        col(CollectionShare.kind) == ShareKind.ROLE.value,
        col(CollectionShare.subject) == role,
    )
    return int((await session.exec(ended)).rowcount)


async def take_role(session: AsyncSession, tenant: str, role: str) -> int:
    """Take a role of the tenant's own from everybody who has it, for good: another one of its name is another one. How many
    users and keys had it, revoked keys included."""
    taken = 0
    for table in (User, APIKey):
        held = update(table).where(col(table.tenant) == tenant, col(table.role) == role).values(role=NO_ROLE)
        taken += int((await session.exec(held)).rowcount)
    return taken


async def end_keys(session: AsyncSession, user_id: str, *, own: bool) -> list[str]:
    """Revoke the keys that act for a user, without those that nobody else has seen unless `own` says so. Their identifiers."""
    chosen = [col(APIKey.user_id) == user_id, col(APIKey.revoked_at).is_(None)]
    if not own:
        chosen.append(col(APIKey.own).is_(False))
    ended = update(APIKey).where(*chosen).values(revoked_at=utc_now()).returning(col(APIKey.id))
    await raise_epoch(session)
    return sorted((await session.exec(ended)).scalars().all())
