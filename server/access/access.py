"""Access: from what a caller shows to the principal that the request acts for."""

import asyncio
import time
from datetime import timedelta

from core.database import Database
from core.keys import Hasher, load_secret
from core.principals import ROLE_SCOPES, Principal, Role
from core.settings import Settings
from core.tables import APIKey
from server.access.keys import Keys
from server.access.sessions import BrowserSessions

#: Seconds that a credential is trusted without asking the database again: the longest that a revoked key lives on in
#: *another* process. In this one, `forget` ends it at once.
CACHE_S = 5.0
_CACHE_ENTRIES = 10_000


class Access:
    """Finds principals, remembering them for a few seconds."""

    def __init__(self, keys: Keys, sessions: BrowserSessions) -> None:
        self.keys = keys
        self.sessions = sessions
        self._known: dict[tuple[bool, str], tuple[float, Principal]] = {}

    @classmethod
    async def open(cls, settings: Settings, database: Database) -> "Access":
        hasher = Hasher(await asyncio.to_thread(load_secret, settings))
        return cls(Keys(database, hasher), BrowserSessions(database, hasher, timedelta(hours=settings.session_hours)))

    async def by_key(self, key: str) -> Principal | None:
        """The principal of a key that is valid now, else None."""
        return await self._find(key, from_cookie=False)

    async def by_cookie(self, cookie: str) -> Principal | None:
        """The principal of a browser session that is valid now, else None."""
        return await self._find(cookie, from_cookie=True)

    def forget(self) -> None:
        """Ask the database anew for everybody: a key was revoked or a session closed."""
        self._known.clear()

    async def _find(self, credential: str, *, from_cookie: bool) -> Principal | None:
        slot, now = (from_cookie, credential), time.monotonic()
        known = self._known.get(slot)
        if known is not None and known[0] > now:
            return known[1]
        self._known.pop(slot, None)
        row = await (self.sessions.find(credential) if from_cookie else self.keys.find(credential))
        if row is None:
            return None
        principal = principal_of(row, from_cookie=from_cookie)
        if len(self._known) >= _CACHE_ENTRIES:
            self._known.clear()
        self._known[slot] = (now + CACHE_S, principal)
        return principal


def principal_of(row: APIKey, *, from_cookie: bool = False) -> Principal:
    """The principal that a key's row stands for."""
    role = Role(row.role)
    return Principal(row.id, row.tenant, row.name, role, ROLE_SCOPES[role], from_cookie)
