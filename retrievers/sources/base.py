"""What every kind of source promises: it lists what is there, and reads what the crawl asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from core.settings import Settings


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source is: what it is to be found by (`location`), what opens it (`secrets`), and whose it is."""

    tenant: str
    location: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a source. `name` is what it is called there, unique within the source; `mark` tells that it is still the same,
    and is empty where only reading it tells. `url` is where a reader finds it, empty where nobody does."""

    name: str
    mark: str = ""
    size: int | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What there is. `complete` is False where some of it could not be looked at, or there is more than one crawl takes: then
    nothing is known to be gone. `problems` are (what, code, message) of what could not; `left_out` addresses are of no
    concern to the source."""

    entries: list[Entry]
    complete: bool = True
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Content:
    """What was read, as a local file, and its mark from now on."""

    data: Path
    mark: str


class Crawler(Protocol):
    """One crawl of one place. Made with (place, settings); opened as an asynchronous context, so that it may hold a client."""

    #: How many files may be read at once.
    at_once: int

    async def look(self) -> Listing:
        """What is there now, in a stable order.

        Raises:
            PlatformError: the place cannot be reached, or may not be: the crawl fails with that.
        """
        ...

    async def read(self, entry: Entry, known: str, scratch: Path) -> Content | None:
        """The file's content, in a new file below `scratch`; None where it is what it was when `known` was its
        mark. At most `limits.upload_bytes`.

        Raises:
            NotFound: it is gone since it was listed.
            PlatformError: it cannot be read: that one fails, the others go on.
        """
        ...

    async def close(self) -> None:
        """May be called once, whatever was called before."""
        ...


class SourceKind(Protocol):
    """A kind of source, as the table names it: checks what a caller gives, and crawls."""

    @staticmethod
    def check(place: Place, settings: Settings) -> dict[str, Any]:
        """The location as it is kept.

        Raises:
            InvalidRequest: `invalid_source`, `source_not_allowed`: it is none of this kind, or not one that may be crawled.
        """
        ...

    @staticmethod
    def open(place: Place, settings: Settings) -> Crawler:
        """A crawler. Connects to nothing yet. Raises as `check`: the settings may have changed since."""
        ...
