"""Browser sessions, and the one-time links that open them."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlmodel import col, delete, update

from core.database import Database, utc_now
from core.keys import Hasher, new_token
from core.principals import Principal
from core.tables import APIKey, BrowserSession, SignInToken
from server.access.credentials import principal_of_key, principal_of_user
from server.access.epoch import raise_epoch

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
        return token

    async def redeem(self, token: str) -> str | None:
        """The identifier of the key that the link was made for; None for a link that is unknown, used or expired.

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
            return (await session.exec(statement)).scalars().first()

    async def open(self, *, key_id: str | None = None, user_id: str | None = None) -> str:
        """A new session's cookie, for a key or for a user who has signed in. Expired sessions are cleared away."""
        cookie = new_token()
        async with self._database.transaction(all_tenants=True) as session:
            await session.exec(delete(BrowserSession).where(col(BrowserSession.expires_at) < utc_now()))
            digest = self._hasher.digest(_COOKIE, cookie)
            expires_at = utc_now() + self.lifetime
            session.add(BrowserSession(digest=digest, key_id=key_id, user_id=user_id, expires_at=expires_at))
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
            await session.exec(delete(BrowserSession).where(col(BrowserSession.digest) == digest))
            await raise_epoch(session)
