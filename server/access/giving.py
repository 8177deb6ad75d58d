"""What somebody may give to others: a role, and a key or token that acts in another's stead.

A role is more than its scopes: collections are shared with it. To act for somebody is more than both: what is theirs alone
opens as well. So keys are not enough for either; `users:manage` is, the right to give roles and passwords.
"""

from collections.abc import Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from core import denials
from core.errors import Forbidden, InvalidRequest
from core.principals import Principal, Role, Scope, beyond, held_in
from core.rights import scopes_of
from core.tables import Collection, CustomRole, ShareKind, User
from retrievers.sharing import Level, levels_of
from server.access.limits import refuse_limited, refuse_unseen


async def refuse_above(session: AsyncSession, principal: Principal, role: str) -> None:
    """Refuse to change who has a role, or the role, for who has a limit, since no role has any, and who lacks a scope of it.

    Raises:
        Forbidden: `more_than_own`.
    """
    await refuse_limited(session, principal)
    refuse_scopes(principal, await reach_of(session, principal.tenant, role))


async def reach_of(session: AsyncSession, tenant: str, role: str) -> frozenset[Scope]:
    """What the holder of a role counts as being able to do where others change them, act for them or export what is theirs.

    Who lost a role can do nothing, and may have been anybody: what is planted with them now would wait for the role that they
    are given next. So they are for who may do everything, as are those whose role holds nothing for now.
    """
    return await scopes_of(session, tenant, role) or held_in(tenant, frozenset(Scope))


def refuse_scopes(principal: Principal, scopes: frozenset[Scope]) -> None:
    """Refuse to give scopes, or to change what holds them, to who has not all of them.

    Raises:
        Forbidden: `more_than_own`.
    """
    if more := sorted(beyond(scopes, principal.scopes)):
        raise denials.more_than_own(principal, more, f"Nobody gives more than they have: {', '.join(more)}.")


async def refuse_role(
    session: AsyncSession, principal: Principal, role: str, *, collections: frozenset[str] | None = None
) -> None:
    """Refuse to give a role, to a key or a user, that is neither one's own nor one's to give: whoever gives another one holds
    `users:manage` and all scopes of it, and may use what is shared with it (of `collections`, where whom it is given to is
    limited to them).

    Raises:
        InvalidRequest: `unknown_role`.
        Forbidden: `more_than_own`.
    """
    await refuse_unknown(session, principal.tenant, role)
    if role == principal.role and principal.role_held:
        return
    lacking = beyond({Scope.USERS_MANAGE, *await scopes_of(session, principal.tenant, role)}, principal.scopes)
    if lacking:
        text = f"You give your own role, {principal.role}. Another one takes users:manage and all that it holds; you lack"
        raise _denial(principal, lacking, text)
    await refuse_unseen(session, principal, ShareKind.ROLE, role, collections)


async def refuse_unknown(session: AsyncSession, tenant: str, role: str) -> None:
    """Raises InvalidRequest (`unknown_role`) where the tenant has no such role."""
    if not await _known(session, tenant, role):
        raise InvalidRequest("There is no such role.", code="unknown_role", param="role")


async def refuse_stead(session: AsyncSession, principal: Principal, user: User) -> None:
    """Refuse to make a credential that acts for somebody else, unless the principal holds `users:manage` and all that this user
    may do: then they could give them a password as well.

    Raises:
        Forbidden: `more_than_own`.
    """
    if user.id != principal.id:
        refuse_stead_of(principal, await reach_of(session, user.tenant, user.role))


def refuse_stead_of(principal: Principal, scopes: frozenset[Scope]) -> None:
    """The same for somebody else, who may do this.

    Raises:
        Forbidden: `more_than_own`.
    """
    if lacking := beyond({Scope.USERS_MANAGE, *scopes}, principal.scopes):
        raise _denial(principal, lacking, "To act for somebody else takes users:manage and all that they may do; you lack")


async def refuse_handing_over(
    session: AsyncSession, principal: Principal, user: User, collections: Sequence[Collection]
) -> None:
    """Refuse to give a user's collections to anybody, oneself included, to who neither manages each of them nor could make a
    key that acts for the user.

    Raises:
        Forbidden: `more_than_own`.
    """
    if all(level is Level.MANAGE for level in await levels_of(session, principal, collections)):
        return
    asked = {Scope.KEYS_MANAGE, Scope.USERS_MANAGE, *await reach_of(session, user.tenant, user.role)}
    if lacking := beyond(asked, principal.scopes):
        text = (
            "To hand over collections takes rag:manage, or keys:manage, users:manage and all that their owner may do; you lack"
        )
        raise _denial(principal, lacking, text)


async def _known(session: AsyncSession, tenant: str, role: str) -> bool:
    return role in set(Role) or await session.get(CustomRole, (tenant, role)) is not None


def _denial(principal: Principal, lacking: frozenset[Scope], text: str) -> Forbidden:
    return denials.more_than_own(principal, sorted(lacking), f"{text}: {', '.join(sorted(lacking))}.")
