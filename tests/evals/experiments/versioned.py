"""A registry in memory, for experiments on it."""

from core.errors import Conflict, PlatformError
from core.principals import Principal


class Shelf:
    """Version 1 of `default` is live, 2 and 3 are there. `refusal` is raised where one is deployed."""

    def __init__(self) -> None:
        self.now: dict[str, int] = {"default": 1}
        self.refusal: PlatformError | None = None
        self.drafts: set[int] = set()
        self.told: list[tuple[str, int, str]] = []

    async def live(self, alias: str) -> int | None:
        return self.now.get(alias)

    async def check_shared(self, alias: str) -> None:
        """Those of every alias may."""

    async def exists(self, alias: str, version: int) -> bool:
        return alias in self.now and version in (1, 2, 3)

    async def is_released(self, alias: str, version: int) -> bool:
        return version not in self.drafts

    async def deploy(self, principal: Principal, alias: str, version: int, *, reason: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        if self.now[alias] == version:
            raise Conflict("It is live already.", code="already_live")
        self.now[alias] = version
        self.told.append((principal.id, version, reason))
