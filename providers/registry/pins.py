"""What long work goes by from its start to its end, whatever is deployed meanwhile: a version of each alias, and of each prompt
the one that was live."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Template
from typing import Any, Self

from core.errors import PlatformError
from core.versions import Versions
from providers.editions import Edition


@dataclass(frozen=True, slots=True)
class Pins:
    """Numbers by name, to be kept. Prompts that are not among them are asked as they are built in."""

    aliases: Mapping[str, int] = field(default_factory=dict)
    prompts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Those that `told` gave."""
        return cls(told.get("aliases", {}), told.get("prompts", {}))

    def told(self) -> dict[str, Any]:
        """In JSON's own values."""
        return {"aliases": dict(self.aliases), "prompts": dict(self.prompts)}


@dataclass(frozen=True, slots=True)
class Pinned:
    """The same, ready to be called. `lacking` are the aliases whose version cannot be built here, each with the reason."""

    editions: Mapping[str, Edition]
    prompts: Mapping[str, Template | None]
    lacking: Mapping[str, PlatformError] = field(default_factory=dict)

    def require(self, *aliases: str) -> None:
        """Raises what keeps one of these from being asked."""
        for alias in aliases:
            if (refusal := self.lacking.get(alias)) is not None:
                raise refusal

    def label(self, alias: str) -> str:
        """What the ledger has the alias's version under."""
        return self.editions[alias].label

    def versions(self, *first: str) -> Versions:
        """For the context of one request: it goes by these versions. The prompts of the aliases that it asks `first` count
        before others'."""
        versions = Versions()
        versions.prompts = self.prompts
        versions.update(self.editions)
        for alias in first:
            if (edition := self.editions.get(alias)) is not None and edition.prompts:
                versions.pin(edition.prompts)
        return versions
