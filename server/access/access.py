"""Access: from what a caller shows to the principal that the request acts for."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from core.database import Database, utc_now
from core.epoch import Watcher
from core.keys import Hasher, load_secret
from core.principals import Principal
from core.settings import Settings
from server.access.keys import Keys
from server.access.oidc import IdentityProvider
from server.access.passwords import Passwords
from server.access.sealing import Sealer
from server.access.sessions import BrowserSessions
from server.access.signing import SigningKeys
from server.access.tokens import Tokens

#: Seconds that a credential is trusted without asking the database again. A right that is taken away ends sooner: at once in
#: this process (`forget`), within a second in others (`watch`).
CACHE_S = 60.0
#: The same where nothing watches.
UNWATCHED_CACHE_S = 5.0
_CACHE_ENTRIES = 10_000

#: From a credential to whom it stands for and until when (None: without end); None where it is not valid now.
Finder = Callable[[str], Awaitable[tuple[Principal, datetime | None] | None]]


class Access:
    """Finds principals, remembering them for a while."""

    def __init__(self, settings: Settings, database: Database, secret: bytes) -> None:
        hasher = Hasher(secret)
        self.keys = Keys(database, hasher)
        self.sessions = BrowserSessions(database, hasher, timedelta(hours=settings.session_hours))
        self.passwords = Passwords(database, hasher, settings.sign_in)
        signing = SigningKeys(database, Sealer(secret, "signing keys"), settings.tokens)
        self.tokens = Tokens(database, hasher, signing, settings.tokens, settings.base_url)
        self.sign_ins = Sealer(secret, "sign-ins")
        self.providers = {each.name: IdentityProvider(each) for each in settings.sign_in.oidc}
        self._database = database
        self._cache_s = UNWATCHED_CACHE_S
        self._finders: dict[str, Finder] = {
            "key": self.keys.find,
            "cookie": self.sessions.find,
            "token": self.tokens.find,
        }
        self._known: dict[tuple[str, str], tuple[float, Principal]] = {}
        self._forgotten = 0

    @classmethod
    async def open(cls, settings: Settings, database: Database) -> "Access":
        return cls(settings, database, await asyncio.to_thread(load_secret, settings))

    async def by_key(self, key: str) -> Principal | None:
        """The principal of a key that is valid now, else None."""
        return await self._find("key", key)

    async def by_cookie(self, cookie: str) -> Principal | None:
        """The principal of a browser session that is valid now, else None."""
        return await self._find("cookie", cookie)

    async def by_token(self, token: str) -> Principal | None:
        """The principal of an access token that is valid now, else None."""
        return await self._find("token", token)

    def forget(self) -> None:
        """Ask the database anew for everybody: a key was revoked, a session closed, a role changed."""
        self._forgotten += 1
        self._known.clear()
        self.tokens.keys.forget()

    async def watch(self, watcher: Watcher | None = None) -> None:
        """Forget whenever any process takes a right away, until cancelled; whoever else hangs on the watcher is told too."""
        watcher = watcher or Watcher()
        watcher.add(self._heed)
        self._cache_s = CACHE_S
        try:
            await watcher.run(self._database)
        finally:
            self._cache_s = UNWATCHED_CACHE_S
            self.forget()

    async def _heed(self, _database: Database) -> None:
        self.forget()

    async def _find(self, kind: str, credential: str) -> Principal | None:
        slot, now = (kind, credential), time.monotonic()
        known = self._known.get(slot)
        if known is not None and known[0] > now:
            return known[1]
        self._known.pop(slot, None)
        forgotten = self._forgotten
        found = await self._finders[kind](credential)
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
