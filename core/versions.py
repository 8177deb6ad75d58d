"""Which versions of models and prompts a request goes by: each is chosen once, and holds to the request's end."""

from collections.abc import Mapping
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

    __slots__ = ("_pinned", "prompts")

    def __init__(self) -> None:
        super().__init__()
        #: Prompts that are live in place of those that are built in, by name, since the first version was chosen.
        self.prompts = _NONE
        self._pinned: dict[str, Template | None] = {}

    def pin(self, prompts: Mapping[str, Template | None]) -> None:
        """A version is asked with these, whatever is live. Of several that say so of one prompt, the first counts."""
        self._pinned = {**prompts, **self._pinned}

    def prompt(self, name: str) -> Template | None:
        """The prompt that the request is asked with; None: the one that is built in."""
        return self._pinned[name] if name in self._pinned else self.prompts.get(name)
