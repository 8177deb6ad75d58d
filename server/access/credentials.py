"""From a stored credential to the principal that it stands for: a key or a user, as both stand in the database now."""

from collections.abc import Sequence
from ipaddress import ip_network

from sqlalchemy import ColumnElement
from sqlmodel import and_, col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import utc_now
from core.networks import Networks
from core.principals import Principal, Scope, allowed_by_both
from core.rights import holds_role, scopes_of, teams_of
from core.tables import APIKey, Tenant, User


def valid_now() -> tuple[ColumnElement[bool], ...]:
    """The conditions of a key that is neither revoked nor expired."""
    return (
        col(APIKey.revoked_at).is_(None),
        or_(col(APIKey.expires_at).is_(None), col(APIKey.expires_at) > utc_now()),
    )


async def principal_of_key(session: AsyncSession, condition: ColumnElement[bool]) -> tuple[Principal, APIKey] | None:
    """Whom the key that fits `condition` stands for; None where it, its user or its tenant is not valid now."""
    query = (
        select(APIKey, User)
        .outerjoin(User, col(User.id) == col(APIKey.user_id))
        .outerjoin(Tenant, col(Tenant.id) == col(APIKey.tenant))
        .where(condition, *valid_now(), col(User.disabled_at).is_(None), col(Tenant.disabled_at).is_(None))
    )
    found = (await session.exec(query)).first()
    if found is None:
        return None
    key, user = found
    scopes = await scopes_of(session, key.tenant, key.role)
    if key.scopes is not None:
        scopes = allowed_by_both(scopes, {Scope(scope) for scope in key.scopes if scope in set(Scope)})
    if user is not None:
        scopes = allowed_by_both(scopes, await scopes_of(session, user.tenant, user.role))
    principal = Principal(
        user.id if user is not None else key.stands_for or key.id,
        key.tenant,
        user.name if user is not None else key.name,
        key.role,
        scopes,
        key_id=key.id,
        stands_for=key.stands_for,
        teams=await teams_of(session, user.id) if user is not None else frozenset(),
        models=_limit(key.models),
        collections=_limit(key.collections),
        role_held=user is None or await holds_role(session, user, key.role),
        networks=None if key.networks is None else Networks(map(ip_network, key.networks)),
    )
    return principal, key


async def principal_of_user(session: AsyncSession, user_id: str) -> Principal | None:
    """Whom a user who has signed in stands for; None where they or their tenant are not valid now."""
    query = (
        select(User)
        .join(Tenant, and_(col(Tenant.id) == col(User.tenant), col(Tenant.disabled_at).is_(None)))
        .where(User.id == user_id, col(User.disabled_at).is_(None))
    )
    user = (await session.exec(query)).first()
    if user is None:
        return None
    scopes = await scopes_of(session, user.tenant, user.role)
    return Principal(user.id, user.tenant, user.name, user.role, scopes, teams=await teams_of(session, user.id))


def _limit(names: Sequence[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)
