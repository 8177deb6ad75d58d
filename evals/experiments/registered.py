"""The registry of models, as experiments ask it."""

from core.errors import NotFound
from core.principals import Principal
from providers.models import Models


class Registered:
    """`Versioned` of this installation's models."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def live(self, alias: str) -> int | None:
        return 1 if any(each.alias == alias for each in self._models.settings.aliases) else None

    async def exists(self, alias: str, version: int) -> bool:
        return version == await self.live(alias)

    async def deploy(self, principal: Principal, alias: str, version: int, *, reason: str) -> None:
        raise NotFound("There is no such version.", code="version_not_found")
