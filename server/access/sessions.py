"""Browser sessions, and the one-time links that open them."""

from datetime import timedelta

from sqlmodel import col, delete, select, update

from core.database import Database, utc_now
from core.keys import Hasher, new_token
from core.tables import APIKey, BrowserSession, SignInToken
from server.access.keys import valid_now

_COOKIE, _LINK = "session", "sign-in"
LINK_LIFETIME = timedelta(hours=24)


class BrowserSessions:
    """A cookie stands for a key; it ends after some hours, or with the key."""

    def __init__(self, database: Database, hasher: Hasher, lifetime: timedelta) -> None:
        self._database = database
        self._hasher = hasher
        self.lifetime = lifetime

    async def make_link_token(self, key_id: str) -> str:
        """A token that opens one session for the key within a day. The row of an expired one is cleared away."""
        token = new_token()
        async with self._database.transaction() as session:
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
        async with self._database.transaction() as session:
            return (await session.exec(statement)).scalars().first()

    async def open(self, key_id: str) -> str:
        """A new session's cookie. Expired sessions are cleared away."""
        cookie = new_token()
        async with self._database.transaction() as session:
            await session.exec(delete(BrowserSession).where(col(BrowserSession.expires_at) < utc_now()))
            digest = self._hasher.digest(_COOKIE, cookie)
            session.add(BrowserSession(digest=digest, key_id=key_id, expires_at=utc_now() + self.lifetime))
        return cookie

    async def find(self, cookie: str) -> APIKey | None:
        """The row of the key behind a cookie, as long as both are valid."""
        statement = (
            select(APIKey)
            .join(BrowserSession, col(BrowserSession.key_id) == col(APIKey.id))
            .where(
                BrowserSession.digest == self._hasher.digest(_COOKIE, cookie),
                BrowserSession.expires_at > utc_now(),
                *valid_now(),
            )
        )
        async with self._database.session() as session:
            return (await session.exec(statement)).first()

    async def close(self, cookie: str) -> None:
        """End a session; no error when it has ended already."""
        async with self._database.transaction() as session:
            digest = self._hasher.digest(_COOKIE, cookie)
            await session.exec(delete(BrowserSession).where(col(BrowserSession.digest) == digest))
