"""Access: from what a caller shows to the principal that the request acts for."""

import asyncio
import time
from datetime import datetime, timedelta

from core.database import Database, utc_now
from core.keys import Hasher, load_secret
from core.principals import Principal
from core.settings import Settings
from server.access import epoch
from server.access.keys import Keys
from server.access.sessions import BrowserSessions

#: Seconds that a credential is trusted without asking the database again. A right that is taken away ends sooner: at once in
#: this process (`forget`), within a second in others (`watch`).
CACHE_S = 60.0
#: The same where nothing watches.
UNWATCHED_CACHE_S = 5.0
_CACHE_ENTRIES = 10_000


class Access:
    """Finds principals, remembering them for a while."""

    def __init__(self, keys: Keys, sessions: BrowserSessions, database: Database) -> None:
        self.keys = keys
        self.sessions = sessions
        self._database = database
        self._cache_s = UNWATCHED_CACHE_S
        self._known: dict[tuple[bool, str], tuple[float, Principal]] = {}
        self._forgotten = 0

    @classmethod
    async def open(cls, settings: Settings, database: Database) -> "Access":
        hasher = Hasher(await asyncio.to_thread(load_secret, settings))
        sessions = BrowserSessions(database, hasher, timedelta(hours=settings.session_hours))
        return cls(Keys(database, hasher), sessions, database)

    async def by_key(self, key: str) -> Principal | None:
        """The principal of a key that is valid now, else None."""
        return await self._find(key, from_cookie=False)

    async def by_cookie(self, cookie: str) -> Principal | None:
        """The principal of a browser session that is valid now, else None."""
        return await self._find(cookie, from_cookie=True)

    def forget(self) -> None:
        """Ask the database anew for everybody: a key was revoked, a session closed, a role changed."""
        self._forgotten += 1
        self._known.clear()

    async def watch(self) -> None:
        """Forget whenever any process takes a right away, until cancelled."""
        self._cache_s = CACHE_S
        try:
            await epoch.watch(self._database, self.forget)
        finally:
            self._cache_s = UNWATCHED_CACHE_S
            self.forget()

    async def _find(self, credential: str, *, from_cookie: bool) -> Principal | None:
        slot, now = (from_cookie, credential), time.monotonic()
        known = self._known.get(slot)
        if known is not None and known[0] > now:
            return known[1]
        self._known.pop(slot, None)
        forgotten = self._forgotten
        found = await (self.sessions.find(credential) if from_cookie else self.keys.find(credential))
        if found is None:
            return None
        principal, expires_at = found
        if forgotten != self._forgotten:  # what was read may have been taken away since
            return principal
        if len(self._known) >= _CACHE_ENTRIES:
            self._known.clear()
        self._known[slot] = (now + min(self._cache_s, _seconds_until(expires_at)), principal)
        return principal


def _seconds_until(moment: datetime | None) -> float:
    return float("inf") if moment is None else (moment - utc_now()).total_seconds()
