"""Browser sessions, and the one-time links that open them."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit
from core.database import Database, utc_now
from core.errors import Unauthenticated
from core.keys import Hasher, new_token
from core.principals import ANONYMOUS, Principal
from core.tables import APIKey, BrowserSession, SignInToken, User
from server.access.credentials import principal_of_key, principal_of_user
from server.access.endings import hold_user
from server.access.epoch import raise_epoch
from server.access.passwords import REFUSED
from server.access.throttle import Owner, note_attempt

_COOKIE, _LINK = "session", "sign-in"
LINK_LIFETIME = timedelta(hours=24)


class BrowserSessions:
    """A cookie stands for a key or a user; it ends after some hours, or with either."""

    def __init__(self, database: Database, hasher: Hasher, lifetime: timedelta) -> None:
        self._database = database
        self._hasher = hasher
        self.lifetime = lifetime

    async def make_link_token(self, key_id: str) -> str:
        """A token that opens one session for the key within a day. The row of an expired one is cleared away."""
        token = new_token()
        async with self._database.transaction(all_tenants=True) as session:
            await session.exec(delete(SignInToken).where(col(SignInToken.expires_at) < utc_now()))
            digest = self._hasher.digest(_LINK, token)
            session.add(SignInToken(digest=digest, key_id=key_id, expires_at=utc_now() + LINK_LIFETIME))
            tenant = (await session.exec(select(APIKey.tenant).where(APIKey.id == key_id))).one()
            await audit.record(session, audit.Action.SIGNIN_LINK_CREATED, on=("key", key_id), tenant=tenant)
        return token

    async def whose(self, token: str) -> Principal | None:
        """Whom a link would sign in; None for one that `redeem` would refuse. The link stays as it is."""
        async with self._database.session(all_tenants=True) as session:
            row = await session.get(SignInToken, self._hasher.digest(_LINK, token))
            if row is None or row.used_at is not None or row.expires_at <= utc_now():
                return None
            found = await principal_of_key(session, col(APIKey.id) == row.key_id)
        return found[0] if found else None

    async def redeem(self, token: str) -> str | None:
        """The identifier of the key that the link was made for; None for a link that is unknown, used or expired, or
        whose key is not valid any more: which of these is not told, the failure is put on record.

        Of two calls at once, one gets it.
        """
        now = utc_now()
        statement = (
            update(SignInToken)
            .where(
                col(SignInToken.digest) == self._hasher.digest(_LINK, token),
                col(SignInToken.used_at).is_(None),
                col(SignInToken.expires_at) > now,
            )
            .values(used_at=now)
            .returning(col(SignInToken.key_id))
        )
        async with self._database.transaction(all_tenants=True) as session:
            key_id: str | None = (await session.exec(statement)).scalars().first()
            if key_id is not None and await principal_of_key(session, col(APIKey.id) == key_id) is not None:
                return key_id
            found = select(APIKey.tenant).where(APIKey.id == key_id)
            tenant = None if key_id is None else (await session.exec(found)).first()
        on = None if key_id is None or tenant is None else ("key", key_id)
        audit.note(
            audit.Action.SIGNIN_FAILED,
            outcome=audit.Outcome.FAILURE,
            on=on,
            details={"method": "link"},
            principal=ANONYMOUS,
            tenant=tenant,
        )
        return None

    async def open(
        self, *, key_id: str | None = None, user_id: str | None = None, method: str = "key", digest: str | None = None
    ) -> str:
        """A new session's cookie, for a key or for a user who has signed in, by which `method` goes on record; where it was by
        a password, while the user has that of the `digest`. Expired sessions are cleared away.

        Raises:
            Unauthenticated: `sign_in_failed`: the password has ended since it was verified, or the account was closed.
        """
        cookie = new_token()
        async with self._database.transaction(all_tenants=True) as session:
            if digest is not None:
                await _hold_verified(session, user_id, digest)
            await session.exec(delete(BrowserSession).where(col(BrowserSession.expires_at) < utc_now()))
            expires_at = utc_now() + self.lifetime
            session.add(BrowserSession(digest=self.digest(cookie), key_id=key_id, user_id=user_id, expires_at=expires_at))
            who = await _signed_in(session, key_id, user_id)
            await audit.record(session, audit.Action.SIGNIN_SUCCEEDED, details={"method": method}, principal=who)
        return cookie

    async def find(self, cookie: str) -> tuple[Principal, datetime] | None:
        """Whom a cookie stands for and until when, as long as it is valid, and the key or user behind it."""
        digest = self._hasher.digest(_COOKIE, cookie)
        async with self._database.session(all_tenants=True) as session:
            row = await session.get(BrowserSession, digest)
            if row is None or row.expires_at <= utc_now():
                return None
            if row.user_id is not None:
                principal, ends = await principal_of_user(session, row.user_id), row.expires_at
            else:
                found = await principal_of_key(session, col(APIKey.id) == row.key_id)
                principal, key = found or (None, None)
                ends = min(row.expires_at, key.expires_at or row.expires_at) if key is not None else row.expires_at
        return None if principal is None else (replace(principal, from_cookie=True), ends)

    def digest(self, cookie: str) -> str:
        """What a session is stored under."""
        return self._hasher.digest(_COOKIE, cookie)

    async def close(self, cookie: str) -> None:
        """End a session; no error when it has ended already."""
        async with self._database.transaction(all_tenants=True) as session:
            digest = self._hasher.digest(_COOKIE, cookie)
            ended = delete(BrowserSession).where(col(BrowserSession.digest) == digest)
            row = (await session.exec(ended.returning(col(BrowserSession.key_id), col(BrowserSession.user_id)))).first()
            await raise_epoch(session)
            if row is not None:
                who = await _signed_in(session, row[0], row[1])
                await audit.record(session, audit.Action.SESSION_ENDED, principal=who)


async def _hold_verified(session: AsyncSession, user_id: str | None, digest: str) -> None:
    """Lock the user, who must still have the password that was verified: what ends it ends the session too, or came first."""
    user = await hold_user(session, user_id)
    if user is None or user.password_digest != digest or user.disabled_at is not None:
        owners = [] if user is None else [Owner(user.id, user.tenant)]
        note_attempt(audit.Action.SIGNIN_FAILED, audit.Outcome.FAILURE, owners, {"method": "password"})
        raise Unauthenticated(REFUSED, code="sign_in_failed")


async def _signed_in(session: AsyncSession, key_id: str | None, user_id: str | None) -> Principal:
    """Who is put on record for a session: its user, else the key that stands for itself. Without rights."""
    if user_id is not None:
        tenant = (await session.exec(select(User.tenant).where(User.id == user_id))).one()
        return replace(ANONYMOUS, id=user_id, tenant=tenant)
    key = (await session.exec(select(APIKey).where(APIKey.id == key_id))).one()
    return replace(ANONYMOUS, id=key.user_id or key.id, tenant=key.tenant, key_id=key.id)
