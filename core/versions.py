"""Which versions of models and prompts a request goes by: each is chosen once, and holds to the request's end."""

from collections.abc import Mapping
from decimal import Decimal
from string import Template
from typing import Protocol

_NONE: Mapping[str, Template | None] = {}


class Version(Protocol):
    """A version of an alias that is ready to be called."""

    @property
    def number(self) -> int: ...

    @property
    def label(self) -> str:
        """What the ledger and the header `x-genai-version` tell it by: its number, and a digest of all it is configured by."""


class Versions(dict[str, Version]):
    """By alias. One object for a request and all contexts beside it, so that none of its steps goes by another version."""

    __slots__ = ("_pinned", "compared", "prompts", "taken")

    def __init__(self) -> None:
        super().__init__()
        #: Prompts that are live in place of those that are built in, by name, since the first version was chosen.
        self.prompts = _NONE
        self._pinned: dict[str, Template | None] = {}
        #: By alias whose versions are compared at this time: who is given the same one as this request.
        self.compared: dict[str, str] = {}
        #: By alias: milliseconds and dollars (None: no price is known) of the calls that were made for it.
        self.taken: dict[str, tuple[float, Decimal | None]] = {}

    def took(self, alias: str, latency_ms: float, cost_usd: Decimal | None) -> None:
        """Add a call that was made for an alias."""
        ms, usd = self.taken.get(alias, (0.0, Decimal(0)))
        self.taken[alias] = ms + latency_ms, None if usd is None or cost_usd is None else usd + cost_usd

    def pin(self, prompts: Mapping[str, Template | None]) -> None:
        """A version is asked with these, whatever is live. Of several that say so of one prompt, the first counts."""
        self._pinned = {**prompts, **self._pinned}

    def prompt(self, name: str) -> Template | None:
        """The prompt that the request is asked with; None: the one that is built in."""
        return self._pinned[name] if name in self._pinned else self.prompts.get(name)
