"""What experiments need of the registry of models: the versions of an alias, and deploying one."""

from typing import Protocol

from core.principals import Principal


class Versioned(Protocol):
    """The versions of aliases."""

    async def live(self, alias: str) -> int | None:
        """The version that requests go by; None where there is no such alias."""
        ...

    async def check_shared(self, alias: str) -> None:
        """Raises InvalidRequest (`embeddings_not_shared`): two versions of the alias may not share its requests."""
        ...

    async def exists(self, alias: str, version: int) -> bool:
        """Whether the alias has this version, and it can be served."""
        ...

    async def is_released(self, alias: str, version: int) -> bool:
        """Whether it was approved, or is given requests: everybody may have it tried on theirs."""
        ...

    async def deploy(self, principal: Principal, alias: str, version: int, *, reason: str) -> None:
        """Make it the live one, at once and everywhere. Raises what the registry refuses it with."""
        ...
