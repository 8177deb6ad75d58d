"""What somebody may do as the database stands now: the scopes of a role, the teams of a user, whom work is still done for.

Work that goes on after its request asks here whether it may: a key is revoked, a user disabled, a tenant closed meanwhile.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import utc_now
from core.principals import ROLE_SCOPES, SYSTEM, Principal, Role, Scope, allowed_by_both, beyond, held_in
from core.tables import APIKey, CustomRole, TeamMember, Tenant, User

#: What is told of work that ends because nobody may have it done any more.
REVOKED = "access_revoked"
REVOKED_MESSAGE = "Whom this was done for may not have it done any more: the key, the user or the tenant was closed."
#: Keys that took each other's place are followed this far.
_ROTATIONS = 100


async def scopes_of(session: AsyncSession, tenant: str, role: str) -> frozenset[Scope]:
    """The scopes of a role, built in or a tenant's own, that a principal of the tenant can hold. Empty for an unknown role."""
    if role in set(Role):
        return held_in(tenant, ROLE_SCOPES[Role(role)])
    custom = await session.get(CustomRole, (tenant, role))
    return frozenset() if custom is None else held_in(tenant, _known(custom.scopes))


async def holds_role(session: AsyncSession, user: User, role: str) -> bool:
    """Whether what goes by the role's name goes for the user: it is theirs now, or they may give it to whomever they like."""
    if user.role == role:
        return True
    own = await scopes_of(session, user.tenant, user.role)
    return not beyond({Scope.USERS_MANAGE, *await scopes_of(session, user.tenant, role)}, own)


async def teams_of(session: AsyncSession, user_id: str) -> frozenset[str]:
    """The identifiers of the teams that a user belongs to."""
    return frozenset((await session.exec(select(TeamMember.team_id).where(TeamMember.user_id == user_id))).all())


async def principal_now(session: AsyncSession, kept: Principal) -> Principal | None:
    """Whom a job works for, with those of the kept rights that they still have; None where they have none any more.

    A key that was rotated goes on as the one that took its place. Where a token acted for a user other than its key's, what
    counts is what both still are. `kept` may be of a version that did not keep the key: then its `id` is the key's, or the
    user's.
    """
    if (tenant := await session.get(Tenant, kept.tenant)) is not None and tenant.disabled_at is not None:
        return None
    if kept.id == SYSTEM.id:
        return kept
    key = await _key_now(session, kept.key_id or kept.id)
    if key is None and kept.key_id is not None and await session.get(APIKey, kept.key_id) is not None:
        return None
    users = await _users_now(session, kept, key)
    if users is None:
        return None
    scopes, teams, role_held, stands_for = kept.scopes, kept.teams, kept.role_held, kept.stands_for
    if key is not None:
        stands_for = key.stands_for
        scopes = allowed_by_both(scopes, await scopes_of(session, key.tenant, key.role))
        scopes = allowed_by_both(scopes, _known(key.scopes)) if key.scopes is not None else scopes
        role_held = role_held and (bool(users) or key.role == kept.role)
    for user in users:
        scopes = allowed_by_both(scopes, await scopes_of(session, user.tenant, user.role))
    if users:
        teams = await teams_of(session, users[0].id)
        role_held = role_held and await holds_role(session, users[0], kept.role)
    return replace(kept, scopes=scopes, teams=teams, role_held=role_held, stands_for=stands_for)


async def _users_now(session: AsyncSession, kept: Principal, key: APIKey | None) -> list[User] | None:
    """The user that `kept` is, first, and the one that its key acts for; none for a key that stands for itself. None where one
    of them is not there any more, or disabled."""
    itself = set() if key is None else {key.id, key.stands_for, kept.key_id, kept.stands_for}
    ids = [] if kept.id in itself else [kept.id]
    if key is not None and key.user_id is not None:
        ids.append(key.user_id)
    users = [await session.get(User, user_id) for user_id in dict.fromkeys(ids)]
    there = [user for user in users if user is not None and user.disabled_at is None and user.tenant == kept.tenant]
    return there if len(there) == len(users) else None


async def _key_now(session: AsyncSession, key_id: str) -> APIKey | None:
    """The key, or what a rotation has put in its place; None where that is not valid now."""
    for _ in range(_ROTATIONS):
        query = select(APIKey).where(APIKey.id == key_id).execution_options(populate_existing=True)
        key = (await session.exec(query)).first()
        if key is None or key.revoked_at is not None:
            return None
        if key.expires_at is None or key.expires_at > utc_now():
            return key
        if key.replaced_by is None:
            return None
        key_id = key.replaced_by
    return None


def _known(scopes: Sequence[str]) -> frozenset[Scope]:
    """Those that still exist."""
    return frozenset(Scope(scope) for scope in scopes if scope in set(Scope))
