"""The registry of models, as experiments ask it."""

from core.database import Database
from core.errors import NotFound
from core.principals import Principal
from core.tables import Registered, VersionState
from providers.registry.content import alias_of, check_may_be_tried
from providers.registry.store import Registry


class ModelVersions:
    """`Versioned` of the registry in a database."""

    def __init__(self, database: Database) -> None:
        self._registry = Registry(database)

    async def live(self, alias: str) -> int | None:
        """See `Versioned`."""
        try:
            return (await self._registry.head(Registered.MODEL, alias)).live
        except NotFound:
            return None

    async def check_shared(self, alias: str) -> None:
        """See `Versioned`."""
        if (live := await self.live(alias)) is not None:
            check_may_be_tried(alias_of((await self._registry.version(Registered.MODEL, alias, live)).content))

    async def exists(self, alias: str, version: int) -> bool:
        """See `Versioned`."""
        try:
            await self._registry.version(Registered.MODEL, alias, version)
        except NotFound:
            return False
        return True

    async def is_released(self, alias: str, version: int) -> bool:
        """See `Versioned`."""
        state = (await self._registry.version(Registered.MODEL, alias, version)).state
        return state in (VersionState.CANDIDATE.value, VersionState.LIVE.value)

    async def deploy(self, principal: Principal, alias: str, version: int, *, reason: str) -> None:
        """See `Versioned`."""
        await self._registry.deploy(principal, Registered.MODEL, alias, version, reason=reason)
