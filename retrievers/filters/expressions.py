"""A filter as it is once it was parsed: frozen values, few kinds, so that a store compiles it in a few lines.

What callers may write in several ways is here in one: `ne` is a `Not` around `eq`, and `{"exists": false}` one around `exists`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

Scalar = str | int | float | bool


class Operator(StrEnum):
    """What `retrievers.filters.meaning.holds` says of each."""

    EQ = "eq"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    IN = "in"
    EXISTS = "exists"
    CONTAINS = "contains"


@dataclass(frozen=True, slots=True)
class Compare:
    """One condition on one name. `value` is a tuple for IN (maybe empty), text for CONTAINS, True for EXISTS, a number or text
    for the four orders, any scalar for EQ. Numbers are finite, and whole ones fit 64 bits; text has no NUL."""

    name: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]

    @property
    def scalar(self) -> Scalar:
        """The value of all operators but IN."""
        if isinstance(self.value, tuple):
            raise TypeError("the values of IN are several")
        return self.value

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        """The values of IN; of EQ the one."""
        return self.value if isinstance(self.value, tuple) else (self.value,)


@dataclass(frozen=True, slots=True)
class And:
    """All hold; one part at least."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of them holds; one part at least."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold: also where a name that it asks for is not there."""

    part: "Filter"


Filter = And | Or | Not | Compare


def names(filter: Filter | None) -> list[str]:
    """Every name that the filter speaks of, once, in its order."""
    return list(dict.fromkeys(_names(filter)))


def required_names(filter: Filter | None) -> list[str]:
    """The names without which nothing passes."""
    if isinstance(filter, Compare):
        return [filter.name]
    if isinstance(filter, And):
        return list(dict.fromkeys(name for part in filter.parts for name in required_names(part)))
    return []


def _names(filter: Filter | None) -> Iterator[str]:
    match filter:
        case Compare(name=name):
            yield name
        case And(parts=parts) | Or(parts=parts):
            for part in parts:
                yield from _names(part)
        case Not(part=part):
            yield from _names(part)
