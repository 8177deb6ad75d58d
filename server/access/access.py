"""Access: from what a caller shows to the principal that the request acts for."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

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
#: Seconds that a request waits for the database to say again who is known already. Then they are believed, while the database
#: was last heard within `CACHE_S`.
ASK_AGAIN_S = 0.04
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
        self._known: dict[tuple[str, str], _Known] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[Principal | None]] = {}
        self._forgotten = 0
        self._watcher: Watcher | None = None

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
        self._watcher = watcher
        self._cache_s = CACHE_S
        try:
            await watcher.run(self._database)
        finally:
            self._cache_s, self._watcher = UNWATCHED_CACHE_S, None
            self.forget()

    async def _heed(self, _database: Database) -> None:
        self.forget()

    async def _find(self, kind: str, credential: str) -> Principal | None:
        slot, now = (kind, credential), time.monotonic()
        known = self._known.get(slot)
        if known is not None and known.until > now:
            return known.principal
        if known is None or known.expires <= now or not self._may_believe(now):
            return await self._ask(slot)
        return await self._ask_again(slot, known)

    def _may_believe(self, now: float) -> bool:
        """Whether the database was heard so lately that who is known may be taken for who they are without it."""
        heard_at = self._watcher.heard_at if self._watcher is not None else None
        return heard_at is not None and heard_at + CACHE_S > now

    async def _ask_again(self, slot: tuple[str, str], known: "_Known") -> Principal | None:
        """What the database says, where it does so at once: a request neither waits for one that is away nor is refused for it.
        One question for all who come meanwhile."""
        asking, forgotten = self._asking.get(slot), self._forgotten
        if asking is None:
            asking = self._asking[slot] = asyncio.create_task(self._ask(slot))
            asking.add_done_callback(lambda _: self._asking.pop(slot, None))
        done, _ = await asyncio.wait({asking}, timeout=ASK_AGAIN_S)
        if not done and forgotten == self._forgotten:
            asking.add_done_callback(_heard_by_nobody)
            return known.principal
        try:
            return await asking
        except (SQLAlchemyError, OSError):
            if forgotten != self._forgotten:
                raise
            return known.principal

    async def _ask(self, slot: tuple[str, str]) -> Principal | None:
        kind, credential = slot
        now, forgotten = time.monotonic(), self._forgotten
        found = await self._finders[kind](credential)
        if found is None:
            self._known.pop(slot, None)
            return None
        principal, expires_at = found
        if forgotten != self._forgotten:  # what was read may have been taken away since
            return principal
        if len(self._known) >= _CACHE_ENTRIES:
            self._known.clear()
        expires = now + _seconds_until(expires_at)
        self._known[slot] = _Known(min(now + self._cache_s, expires), expires, principal)
        return principal


class _Known(NamedTuple):
    """Who a credential stands for: not asked again before `until`, and by no means believed after `expires`."""

    until: float
    expires: float
    principal: Principal


def _heard_by_nobody(asking: "asyncio.Task[Principal | None]") -> None:
    """What a question came to that nobody waits for any more: if it failed, the next one asks again."""
    if not asking.cancelled():
        asking.exception()


def _seconds_until(moment: datetime | None) -> float:
    return float("inf") if moment is None else (moment - utc_now()).total_seconds()
