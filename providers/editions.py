"""A version of an alias as a process serves it, and how those of an alias share its requests."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from hashlib import blake2b
from string import Template
from threading import Lock
from typing import Any, Final, Protocol, TypeVar

from core.context import RequestContext
from core.settings import ModelAlias
from providers.served import Served

T = TypeVar("T")

_UNIT: Final = 2**64
#: Characters of a digest in a label: it tells how a version was configured when it was called.
_DIGEST: Final = 8


class Assignments(Protocol):
    """Who gives requests of an alias to one of its versions before shares do: an experiment."""

    def version_of(self, alias: str, request: RequestContext) -> int | None:
        """The number of the version that the request is to go by; None: it is in no experiment on this alias. Asked once a
        request and alias, on its way: it waits for nothing."""

    def held(self) -> AbstractSet[tuple[str, int]]:
        """The versions, by alias and number, that it may give: they are kept ready, retired ones as well."""


class NoAssignments:
    """Of an installation without experiments."""

    def version_of(self, alias: str, request: RequestContext) -> int | None:
        return None

    def held(self) -> AbstractSet[tuple[str, int]]:
        return frozenset()


@dataclass(frozen=True, eq=False, slots=True)
class Edition:
    """A version with its deployments ready to be called. What is built of it is built once."""

    number: int
    alias: ModelAlias
    served: tuple[Served, ...]
    #: Of all that is configured for it.
    digest: str
    #: The prompts that it is asked with in place of those that are live; None: as it is built in.
    prompts: Mapping[str, Template | None] = field(default_factory=dict)
    label: str = field(init=False)
    _built: dict[str, Any] = field(default_factory=dict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", f"{self.number}-{self.digest[:_DIGEST]}")

    def once(self, use: str, build: Callable[[], T]) -> T:
        """What `build` gives at the first time."""
        if (known := self._built.get(use)) is not None:
            found: T = known
            return found
        with self._lock:
            if use not in self._built:
                self._built[use] = build()
            built: T = self._built[use]
            return built


@dataclass(frozen=True, slots=True)
class Line:
    """The versions of an alias that requests may go by: the live one, a candidate that a share of them is given, and the others
    by number, which an experiment may choose."""

    live: Edition
    candidate: Edition | None = None
    share: float = 0.0
    every: Mapping[int, Edition] = field(default_factory=dict)

    @property
    def used(self) -> tuple[Edition, ...]:
        """The live one, and the candidate where there is one."""
        return (self.live,) if self.candidate is None else (self.live, self.candidate)

    def chosen(self, request: RequestContext, assignments: Assignments) -> Edition:
        """The version that a request goes by. Where others are tried beside it, it is noted to be compared with them."""
        name = self.live.alias.alias
        found = self._chosen(request, assignments)
        if self.candidate is not None or name in request.exposures:
            request.versions.compared[name] = _digest_of(self.candidate or found, request).hex()
        return found

    def _chosen(self, request: RequestContext, assignments: Assignments) -> Edition:
        if (number := assignments.version_of(self.live.alias.alias, request)) is not None:
            assigned = self.every.get(number)
            if assigned is not None:
                return assigned
            request.exposures.pop(self.live.alias.alias, None)  # it cannot be built here: who is not given it was not exposed
        if self.candidate is not None and place_of(self.candidate, request) < self.share:
            return self.candidate
        return self.live


def place_of(candidate: Edition, request: RequestContext) -> float:
    """Where a request stands among all, 0 up to 1: the same for all of a session, else of a person who is signed in, so that
    nobody goes to and fro between two versions, and who was given the candidate is given it while its share grows. A program's
    key without a session speaks for many people: each of its requests has a place of its own."""
    return int.from_bytes(_digest_of(candidate, request)) / _UNIT


def _digest_of(candidate: Edition, request: RequestContext) -> bytes:
    principal = request.principal
    person = principal.id if principal.from_cookie or principal.from_token or principal.key_id is None else None
    unit = request.session_id or person or request.request_id
    told = f"{candidate.alias.alias}\0{candidate.number}\0{principal.tenant}\0{unit}"
    return blake2b(told.encode(), digest_size=8).digest()


@dataclass(frozen=True, slots=True)
class Lines:
    """All aliases with their versions, and the prompts that are live, as they are now. Another takes its place as a whole."""

    of: Mapping[str, Line]
    prompts: Mapping[str, Template | None] = field(default_factory=dict)

    def used(self) -> tuple[Edition, ...]:
        """Every version that requests are given without an experiment's word."""
        return tuple(edition for line in self.of.values() for edition in line.used)

    def every(self) -> tuple[Edition, ...]:
        """Every version that is ready."""
        return tuple({id(each): each for line in self.of.values() for each in (*line.used, *line.every.values())}.values())
