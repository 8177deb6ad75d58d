"""Who comes from an identity provider: found again or made a user, and given the role that their groups have."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from core import audit
from core.database import Database
from core.errors import Forbidden
from core.principals import ANONYMOUS, NO_ROLE, Principal, beyond
from core.rights import scopes_of
from core.settings import OIDCProvider
from core.tables import Tenant, User, UserKind
from retrievers.sharing import is_shared_with_role
from server.access.email_addresses import stored
from server.access.endings import end_keys, end_sign_ins
from server.access.epoch import raise_epoch

log = structlog.get_logger(stream="security")

_MAX_NAME, _MAX_EMAIL = 200, 320


async def admit_person(database: Database, provider: OIDCProvider, claims: Mapping[str, Any]) -> str:
    """The identifier of the user whom an identity provider's verified `claims` stand for, made now where they are new.

    Groups are looked at each time: a role that went with a group goes with it, also where that ends the sign-in, for keys and a
    password as well; and who may sign in no longer has nothing open any more. Where an account is taken over, or a group gives
    it more than it had, what others may have planted with it ends: see `_end_what_others_had`.

    Raises:
        Forbidden: `sign_in_refused`; its context names the `user` and their `tenant`, where there is one.
    """
    try:
        return await _admit(database, provider, claims)
    except IntegrityError:  # somebody was quicker: find what they made
        return await _admit(database, provider, claims)


async def _admit(database: Database, provider: OIDCProvider, claims: Mapping[str, Any]) -> str:
    email, refusal = _email(provider, claims), None
    async with database.transaction(all_tenants=True) as session:
        role = await _role(session, provider, claims)
        user = await _find(session, claims)
        tenant = await session.get(Tenant, provider.tenant)
        if tenant is None or tenant.disabled_at is not None:
            refusal = "The organisation is not open to sign-ins."
        elif user is not None and (user.tenant != tenant.id or user.disabled_at is not None):
            refusal = "This account is closed."
        elif not _domain_fits(provider, email):
            refusal = "People with this e-mail address may not sign in here."
        elif role is None:
            refusal = "None of your groups may sign in here."
        else:
            other = await _with_email(session, tenant.id, email) if user is None else None
            if other is not None and _may_take_over(provider, claims, other):
                user = other
            if other is not None and user is None:
                refusal = "There is an account with this e-mail address already. Ask an administrator."
            else:
                user = await _keep(session, provider, claims, user, email, role)
        if refusal is not None and user is not None:
            await end_sign_ins(session, user.id)
            if provider.roles and user.tenant == provider.tenant and role is None:
                await _take_role(session, provider, user)
    if refusal is not None or user is None:
        log.warning("sign_in.refused", provider=provider.name, reason=refusal)
        whose = {} if user is None else {"user": user.id, "tenant": user.tenant}
        raise Forbidden(refusal or "You may not sign in here.", code="sign_in_refused", context=whose)
    log.info("sign_in.succeeded", how="oidc", provider=provider.name, user=user.id)
    return user.id


async def _find(session: AsyncSession, claims: Mapping[str, Any]) -> User | None:
    chosen = select(User).where(User.issuer == claims["iss"], User.subject == claims["sub"])
    return await _held(session, chosen)


async def _with_email(session: AsyncSession, tenant: str, email: str | None) -> User | None:
    if email is None:
        return None
    return await _held(session, select(User).where(User.tenant == tenant, User.email == email))


async def _held(session: AsyncSession, chosen: SelectOfScalar[User]) -> User | None:
    """The user as they are now, locked: nobody gives them a password or a key until what others had with them has ended."""
    return (await session.exec(chosen.with_for_update().execution_options(populate_existing=True))).first()


def _may_take_over(provider: OIDCProvider, claims: Mapping[str, Any], other: User) -> bool:
    """Whether the account with the person's address is theirs: made by another process just now, or to be taken over because
    it belongs to no identity provider yet and the address is surely the person's."""
    if (other.issuer, other.subject) == (claims["iss"], claims["sub"]):
        return True
    sure = provider.link_by_email and claims.get("email_verified") is True
    return sure and other.kind == UserKind.PERSON and other.issuer is None and other.disabled_at is None


async def _keep(
    session: AsyncSession,
    provider: OIDCProvider,
    claims: Mapping[str, Any],
    user: User | None,
    email: str | None,
    role: str,
) -> User:
    """Write down what is known of the person now, and put what changes on record as the provider's act. Without roles for
    groups, a role that was set here stays."""
    details = dict[str, audit.Detail]()
    news = {"name": _name(claims, email), "issuer": claims["iss"], "subject": claims["sub"]}
    if user is None:
        user = User(tenant=provider.tenant, email=email, role=role, **news)
        session.add(user)
        await session.flush()
        log.info("sign_in.user_made", user=user.id, provider=provider.name)
        await _record(session, audit.Action.USER_CREATED, provider, user, {"kind": user.kind})
    else:
        if provider.roles:
            news["role"] = role
        changed = [field for field, value in news.items() if getattr(user, field) != value]
        if user.issuer is None or ("role" in changed and await _gains(session, user, role)):
            details |= await _end_what_others_had(session, provider, user)
        if "role" in changed:
            details["role_before"] = user.role
            await raise_epoch(session)
        for field in changed:
            setattr(user, field, news[field])
        session.add(user)
        if changed:
            details |= {"fields": changed, "disabled": False}
            await _record(session, audit.Action.USER_CHANGED, provider, user, details)
    return user


async def _gains(session: AsyncSession, user: User, role: str) -> bool:
    """Whether a role would open to the user what theirs does not: a scope, or what is shared with it."""
    if beyond(await scopes_of(session, user.tenant, role), await scopes_of(session, user.tenant, user.role)):
        return True
    return await is_shared_with_role(session, user.tenant, role)


async def _end_what_others_had(session: AsyncSession, provider: OIDCProvider, user: User) -> dict[str, audit.Detail]:
    """End what somebody else may act for the user with, who may do less than the user is about to, and tell of it.

    That is the password, which somebody may have given them, and every browser session and token. Of the keys those stay that
    nobody else has seen; none does where there was a password, with which anybody may have asked for them.
    """
    had_password = user.password_digest is not None
    await session.exec(update(User).where(col(User.id) == user.id).values(password_digest=None))
    ended = await end_keys(session, user.id, own=had_password or user.issuer is None)
    await end_sign_ins(session, user.id)
    for key_id in ended:
        actor, details = _actor(provider, user), dict[str, audit.Detail](provider=provider.name)
        await audit.record(session, audit.Action.KEY_REVOKED, on=("key", key_id), details=details, principal=actor)
    return {"password_ended": had_password, "keys_ended": len(ended)}


async def _take_role(session: AsyncSession, provider: OIDCProvider, user: User) -> None:
    """Leave nothing of the role that came by a group to who is in none any more."""
    if user.role == NO_ROLE:
        return
    details: dict[str, audit.Detail] = {"fields": ["role"], "disabled": user.disabled_at is not None, "role_before": user.role}
    user.role = NO_ROLE
    session.add(user)
    await _record(session, audit.Action.USER_CHANGED, provider, user, details)


async def _record(
    session: AsyncSession, action: audit.Action, provider: OIDCProvider, user: User, details: dict[str, audit.Detail]
) -> None:
    told = details | {"role": user.role, "provider": provider.name}
    await audit.record(session, action, on=("user", user.id), details=told, principal=_actor(provider, user))


def _actor(provider: OIDCProvider, user: User) -> Principal:
    return replace(ANONYMOUS, id=f"oidc:{provider.name}", tenant=user.tenant)


def _email(provider: OIDCProvider, claims: Mapping[str, Any]) -> str | None:
    email, verified = claims.get("email"), claims.get("email_verified")
    if not isinstance(email, str) or not 0 < len(email) <= _MAX_EMAIL or "@" not in email or not email.isprintable():
        return None
    if verified is False or (provider.verified_email and verified is not True):
        return None
    return stored(email)


def _domain_fits(provider: OIDCProvider, email: str | None) -> bool:
    domain = (email or "").rpartition("@")[2]
    return not provider.email_domains or domain in {each.lower().lstrip("@") for each in provider.email_domains}


async def _role(session: AsyncSession, provider: OIDCProvider, claims: Mapping[str, Any]) -> str | None:
    """The role that their groups give; None where they give none that there is."""
    groups = _groups(claims, provider.groups_claim)
    role = next((role for group, role in provider.roles.items() if group in groups), provider.default_role)
    return role if role is not None and await scopes_of(session, provider.tenant, role) else None


def _groups(claims: Mapping[str, Any], path: str) -> set[str]:
    """The groups under a claim, or under a path of claims as `realm_access.roles`."""
    found: Any = claims.get(path)
    if found is None and "." in path:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return {found}
    return {each for each in found if isinstance(each, str)} if isinstance(found, list) else set()


def _name(claims: Mapping[str, Any], email: str | None) -> str:
    """What people call them, without the characters that no page shows and not every database takes."""
    given = (claims.get("name"), claims.get("preferred_username"), email, claims["sub"])
    names = ("".join(filter(str.isprintable, name)).strip() for name in given if isinstance(name, str))
    return next(name for name in names if name)[:_MAX_NAME]
