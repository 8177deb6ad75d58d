"""Filters in Qdrant's own language: equality, sets and existence by terms, and ranges of numbers, either way.

A term is a name with its value (`retrievers.filters.term`), so names may be anything, and none is a path into the payload.
Orders of texts, and texts in texts, are told otherwise, as are bounds that a float does not hold exactly.
"""

from retrievers.filters import And, Compare, Filter, Not, Operator, Or, term
from retrievers.stores.qdrant_points import Condition, all_of, equal

_ORDERS = frozenset({Operator.LT, Operator.LTE, Operator.GT, Operator.GTE})
_LARGEST_TOLD = 2**53
#: Holds for no point.
_NONE: Condition = {"has_id": []}


def sayable(compare: Compare, negated: bool) -> bool:
    """Whether Qdrant can say a condition, or that it does not hold."""
    if compare.operator in _ORDERS:
        bound = compare.scalar
        return isinstance(bound, int | float) and abs(bound) < _LARGEST_TOLD
    return compare.operator is not Operator.CONTAINS


def condition(filter: Filter) -> Condition:
    """A filter of what is sayable."""
    match filter:
        case And():
            return all_of(condition(part) for part in filter.parts)
        case Or():
            return {"should": [condition(part) for part in filter.parts]}
        case Not():
            return {"must_not": [condition(filter.part)]}
    if filter.operator is Operator.EXISTS:
        return equal("named", filter.name)
    if filter.operator in (Operator.EQ, Operator.IN):
        terms = list(dict.fromkeys(term(filter.name, value) for value in filter.scalars))
        return {"key": "filter", "match": {"any": terms}} if terms else _NONE
    within = {"key": "value", "range": {filter.operator.value: float(filter.scalar)}}
    return {"nested": {"key": "numbers", "filter": all_of([equal("name", filter.name), within])}}
