"""Passwords of local users: set, verified, changed. Whether an account exists cannot be told from an answer or its time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlmodel import and_, case, col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit
from core.database import Database
from core.errors import Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unauthenticated
from core.keys import Hasher, new_token
from core.principals import Principal
from core.settings import SignInSettings
from core.tables import Tenant, User, UserKind
from server.access.email_addresses import counted, spellings
from server.access.endings import end_sign_ins
from server.access.throttle import Owner, Throttle, note_attempt

log = structlog.get_logger(stream="security")

#: Argon2id with 46 MiB, one pass and one thread (OWASP's Password Storage Cheat Sheet, 2025): who guesses pays as much as with
#: pwdlib's defaults, while the cores of a gateway are not all taken by people who sign in.
_MEMORY_KIB, _PASSES, _THREADS = 47_104, 1, 1
_AT_ONCE, _WAITING = 2, 64
_MAX_CHARACTERS = 1024
_FEWEST_DIFFERENT = 5
#: Of one e-mail address, in several tenants: an attempt is on record for as many.
_MOST_ACCOUNTS = 10
REFUSED = "E-mail address or password are not right."

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Account:
    """Of a user: who they are, and their password's digest, where they may sign in with one."""

    owner: Owner
    digest: str | None


@dataclass(frozen=True, slots=True)
class Verified:
    """Who has shown their password, and the digest that it fitted: what follows from it holds while they have that one."""

    user_id: str
    digest: str


class Passwords:
    """Argon2id digests in `users.password_digest`."""

    def __init__(self, database: Database, hasher: Hasher, settings: SignInSettings) -> None:
        self._database = database
        self._settings = settings
        self._throttle = Throttle(database, hasher, settings)
        self._argon2 = PasswordHash((Argon2Hasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_THREADS),))
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._nobodys_digest: str | None = None

    async def digest(self, password: str, *, email: str | None = None) -> str:
        """What to store of a new password.

        Raises:
            InvalidRequest: `weak_password`: too short, too long, hardly any different characters, or the e-mail address.
        """
        self.check(password, email=email)
        return await self._hash(password)

    def check(self, password: str, *, email: str | None = None) -> None:
        """Refuse a new password that is none. Raises as `digest` does."""
        shortest = self._settings.password_characters
        if not shortest <= len(password) <= _MAX_CHARACTERS:
            message = f"A password has {shortest} to {_MAX_CHARACTERS} characters."
            raise InvalidRequest(message, code="weak_password", param="password")
        if len(set(password)) < _FEWEST_DIFFERENT or password.casefold() == (email or "").casefold():
            raise InvalidRequest("This password is too easily guessed.", code="weak_password", param="password")

    async def known(self, principal: Principal) -> bool:
        """Whether the principal is a person who signs in with a password of their own."""
        async with self._database.session(principal.tenant) as session:
            user = await session.get(User, principal.id)
        return user is not None and user.password_digest is not None

    async def set(
        self,
        tenant: str,
        user_id: str,
        password: str,
        *,
        allow: Callable[[AsyncSession], Awaitable[None]] | None = None,
    ) -> None:
        """Give a person of the tenant a password. Their browser sessions and tokens end. `allow` raises where it may not be
        done: it is asked before the work, and again where the person stays as they are until the password is written.

        Raises:
            NotFound: `user_not_found`.
            Conflict: `not_a_person`: a service account has keys alone.
            InvalidRequest: `weak_password`.
        """
        async with self._database.session(tenant) as session:
            if allow is not None:
                await allow(session)
            user = await _person(session, tenant, user_id)
        digest = await self.digest(password, email=user.email)
        async with self._database.transaction(tenant) as session:
            await _person(session, tenant, user_id, lock=True)
            if allow is not None:
                await allow(session)
            await _store(session, user_id, digest)
            await audit.record(session, audit.Action.USER_PASSWORD_SET, on=("user", user_id), tenant=tenant)

    async def change(self, principal: Principal, old: str, new: str, address: str | None, *, keep: str | None = None) -> None:
        """Put a new password in the place of the principal's own. Every other session and token of theirs ends; `keep` is the
        digest of the session that stays.

        Raises:
            Conflict: `no_password`: whoever asks has none here; `password_changed`: it was changed or taken away meanwhile.
            Forbidden: `wrong_password`: the old one is not right.
            RateLimited: `too_many_attempts`.
            InvalidRequest: `weak_password`.
        """
        async with self._database.session(principal.tenant) as session:
            user = await session.get(User, principal.id)
        if user is None or user.password_digest is None:
            raise Conflict("You do not sign in with a password here.", code="no_password")
        account = counted(user.email or user.id)
        await self._throttle.begin(account, address, [Owner(user.id, user.tenant)])
        verified = user.password_digest
        if not await self._matches(old, verified):
            audit.note(
                audit.Action.USER_PASSWORD_CHANGED,
                on=("user", user.id),
                details={"reason": "wrong_password"},
                principal=principal,
            )
            raise Forbidden("The old password is not right.", code="wrong_password")
        await self._throttle.succeeded(account, address)
        digest = await self.digest(new, email=user.email)
        async with self._database.transaction(principal.tenant) as session:
            if not await _store(session, user.id, digest, keep=keep, instead_of=verified):
                raise Conflict("The password was changed or taken away meanwhile.", code="password_changed")
            on = ("user", user.id)
            await audit.record(session, audit.Action.USER_PASSWORD_CHANGED, on=on, principal=principal)

    async def sign_in(self, email: str, password: str, address: str | None, *, tenant: str | None = None) -> Verified:
        """The user who signs in, and what was verified. `tenant` says whose account is meant where several have the address.

        Raises:
            Unauthenticated: `sign_in_failed`: no such account, none that may sign in, or another password.
            RateLimited: `too_many_attempts`, `queue_full`.
        """
        account_name = counted(email)
        accounts = await self._find(email, tenant)
        owners = [account.owner for account in accounts]
        await self._throttle.begin(account_name, address, owners)
        open_ones = [account for account in accounts if account.digest]
        account = open_ones[0] if len(open_ones) == 1 else None
        nobodys = await self._nobodys()
        shown_to = account.digest if account and account.digest else nobodys
        if not await self._matches(password, shown_to) or account is None or account.digest is None:
            note_attempt(audit.Action.SIGNIN_FAILED, audit.Outcome.FAILURE, owners, {"method": "password"})
            raise Unauthenticated(REFUSED, code="sign_in_failed")
        await self._throttle.succeeded(account_name, address)
        log.info("sign_in.succeeded", how="password", user=account.owner.id)
        return Verified(account.owner.id, account.digest)

    async def _find(self, email: str, tenant: str | None) -> list[_Account]:
        """The accounts that may be meant, with a digest where they may sign in. Those come first; those that have the address
        in the spelling of before are meant where no other one is."""
        names = spellings(email)
        open_ones = and_(
            col(User.kind) == UserKind.PERSON.value,
            col(User.password_digest).is_not(None),
            col(User.disabled_at).is_(None),
            col(Tenant.disabled_at).is_(None),
        )
        digest = case((open_ones, col(User.password_digest)))
        chosen = (
            select(User.id, User.tenant, digest, User.email)
            .join(Tenant, col(Tenant.id) == col(User.tenant))
            .where(col(User.email).in_(names))
            .order_by(digest.is_(None), User.id)
            .limit(_MOST_ACCOUNTS)
        )
        if tenant:
            chosen = chosen.where(User.tenant == tenant)
        async with self._database.session(all_tenants=True) as session:
            found = (await session.exec(chosen)).all()
        right = [row for row in found if row[3] == names[0]]
        meant = right if any(row[2] for row in right) else found
        return [_Account(Owner(user_id, of), kept) for user_id, of, kept, _ in meant]

    async def _nobodys(self) -> str:
        """A digest that no password has: an account that is not there costs as much time as one that is."""
        if self._nobodys_digest is None:
            self._nobodys_digest = await self._hash(new_token())
        return self._nobodys_digest

    async def _matches(self, password: str, digest: str) -> bool:
        shown = password[: _MAX_CHARACTERS + 1].encode("utf-8", "surrogatepass")
        return await self._in_turn(lambda: self._argon2.verify(shown, digest))

    async def _hash(self, password: str) -> str:
        return await self._in_turn(lambda: self._argon2.hash(password.encode("utf-8", "surrogatepass")))

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._waiting >= _WAITING:
            raise RateLimited("Too many people are signing in at once.", code="queue_full", retry_after_s=2)
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


def no_person() -> Conflict:
    """The refusal of a password for a service account."""
    return Conflict("Only a person can have a password.", code="not_a_person")


async def _person(session: AsyncSession, tenant: str, user_id: str, *, lock: bool = False) -> User:
    user = await session.get(User, user_id, with_for_update=lock)
    if user is None or user.tenant != tenant:
        raise NotFound("There is no such user.", code="user_not_found")
    if user.kind != UserKind.PERSON:
        raise no_person()
    return user


async def _store(
    session: AsyncSession, user_id: str, digest: str, *, keep: str | None = None, instead_of: str | None = None
) -> bool:
    """Write the digest, in the place of that one alone where one is given; whether it was written."""
    chosen = [col(User.id) == user_id]
    if instead_of is not None:
        chosen.append(col(User.password_digest) == instead_of)
    if not (await session.exec(update(User).where(*chosen).values(password_digest=digest))).rowcount:
        return False
    await end_sign_ins(session, user_id, keep=keep)
    return True
