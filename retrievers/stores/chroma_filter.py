"""Filters in Chroma's own language, as far as it goes: equality and sets either way, and ranges of numbers.

It knows no order of texts, no part of one, and not whether a key is there. Whole numbers and others lie in two columns, and
what a number is compared with is cut to a whole one for the first (1.5.9): 2 is 2.5 to it, so fractions are told otherwise.
"""

from collections.abc import Iterator, Sequence
from math import ceil, floor, inf, nextafter
from typing import Any

from retrievers.filters import RESERVED, And, Compare, Filter, Not, Operator, Or, Scalar

#: Prefix of the metadata keys that carry a chunk's own attributes, so that these cannot shadow ours.
ATTRIBUTE = "attr."
_ORDERS = frozenset({Operator.LT, Operator.LTE, Operator.GT, Operator.GTE})
_LARGEST_TOLD = 2**53
#: Holds for no chunk, and for every one: a document has an identifier.
_NONE: dict[str, Any] = {"document_id": {"$eq": ""}}
_ALL: dict[str, Any] = {"document_id": {"$ne": ""}}


def sayable(compare: Compare, negated: bool) -> bool:
    """Whether Chroma can say a condition, or that it does not hold. Its `$ne` and `$nin` hold where a key is missing."""
    numbers = [value for value in compare.scalars if isinstance(value, int | float)]
    if any(abs(number) >= _LARGEST_TOLD for number in numbers):
        return False
    if compare.operator in (Operator.EQ, Operator.IN):
        return all(number == int(number) for number in numbers)
    return not negated and compare.operator in _ORDERS and not isinstance(compare.value, str)


def where(filter: Filter | None) -> dict[str, Any] | None:
    """A filter of what is sayable, with `Not` around single conditions alone (`retrievers.filters.narrow`)."""
    match filter:
        case None:
            return None
        case And():
            return _joined("$and", [_where(part) for part in filter.parts])
        case Or():
            return _joined("$or", [_where(part) for part in filter.parts])
        case _:
            return _where(filter)


def _where(filter: Filter) -> dict[str, Any]:
    match filter:
        case Not(part=Compare() as compare):
            return _joined("$and", [{_key(compare.name): {"$nin": values}} for values in _by_type(compare.scalars)]) or _ALL
        case Compare(operator=Operator.EQ | Operator.IN):
            return _joined("$or", [{_key(filter.name): {"$in": values}} for values in _by_type(filter.scalars)]) or _NONE
        case Compare():
            return _joined("$or", [{_key(filter.name): said} for said in _ranges(filter)]) or _NONE
    said = where(filter)
    if said is None:
        raise TypeError("a filter that Chroma cannot say")
    return said


def _key(name: str) -> str:
    return name if name in RESERVED else ATTRIBUTE + name


def _joined(word: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Chroma takes no list of one; nothing for none."""
    return {word: list(parts)} if len(parts) > 1 else parts[0] if parts else {}


def _by_type(values: Sequence[Scalar]) -> Iterator[list[Scalar]]:
    """The values in lists of one type, as Chroma takes them; a number is equal in both of its forms."""
    for kind in (str, bool, int):
        found = [int(value) if kind is int else value for value in values if _kind(value) is kind]
        if found:
            yield list(dict.fromkeys(found))


def _kind(value: Scalar) -> type:
    return int if isinstance(value, float) else type(value)


def _ranges(compare: Compare) -> Iterator[dict[str, Any]]:
    """What is within, and the whole numbers within, which the first may leave out and never adds to."""
    bound = compare.scalar
    if isinstance(bound, str | bool):
        raise TypeError("Chroma orders numbers alone")
    match compare.operator:
        case Operator.LT:
            yield from ({"$lt": bound}, {"$lte": ceil(bound) - 1})
        case Operator.LTE:
            yield from ({"$lt": nextafter(bound, inf)}, {"$lte": floor(bound)})
        case Operator.GT:
            yield from ({"$gt": bound}, {"$gte": floor(bound) + 1})
        case _:
            yield from ({"$gt": nextafter(bound, -inf)}, {"$gte": ceil(bound)})
