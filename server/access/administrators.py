"""Who is left to administer a tenant: at least one key that may do everything there, without any limit."""

from collections.abc import Collection, Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import Conflict
from core.principals import Role, Scope, beyond
from core.rights import scopes_of
from core.tables import APIKey, User
from server.access.credentials import valid_now


async def refuse_last(
    session: AsyncSession, tenant: str, *, without_keys: Collection[str] = (), without_user: str | None = None
) -> None:
    """Refuse to end these keys, or what a user holds, where they are the last that administer the tenant. A key with limits, of
    fewer scopes or with an end is none of them, nor one whose user is disabled or is no administrator.

    Raises:
        Conflict: `last_administrator`.
    """
    keys = [key for key in await hold(session, tenant) if await _is_unlimited(session, key)]
    # looked at once the keys are locked: who was disabled meanwhile counts no more
    owners = select(User.id).where(
        col(User.id).in_({key.user_id for key in keys if key.user_id is not None}),
        User.role == Role.ADMIN.value,
        col(User.disabled_at).is_(None),
    )
    administrators = set((await session.exec(owners)).all())
    left = [key for key in keys if key.user_id is None or key.user_id in administrators]
    staying = [key for key in left if key.id not in without_keys and (key.user_id is None or key.user_id != without_user)]
    if left and not staying:
        text = "This would take the last key that administers everything without a limit. Make another one first."
        raise Conflict(text, code="last_administrator")


async def hold(session: AsyncSession, tenant: str) -> Sequence[APIKey]:
    """The valid keys of administrators, locked in one order, so that two administrators who end each other's do not both see
    one left. Who locks another key as well does it after this."""
    valid = select(APIKey).where(APIKey.tenant == tenant, APIKey.role == Role.ADMIN.value, *valid_now())
    locked = valid.order_by(APIKey.id).with_for_update().execution_options(populate_existing=True)
    return (await session.exec(locked)).all()


async def _is_unlimited(session: AsyncSession, key: APIKey) -> bool:
    limits = (key.models, key.collections, key.networks, key.expires_at)
    whole = await scopes_of(session, key.tenant, key.role)
    held = whole if key.scopes is None else {Scope(scope) for scope in key.scopes if scope in set(Scope)}
    return all(limit is None for limit in limits) and not beyond(whole, held)
