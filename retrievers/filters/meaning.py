"""What a filter means. Every store is held against this.

There are two truths, no third: a comparison with what is not there, or with a value of another kind, is false, its `not` true.
"""

from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt
from typing import Any, assert_never

from retrievers.base import Chunk
from retrievers.filters.expressions import And, Compare, Filter, Not, Operator, Or, Scalar

#: What every chunk has, whatever attributes its document was given.
RESERVED = frozenset({"document", "document_id", "page"})
#: Python compares whole numbers with others exactly.
_ORDERS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    Operator.LT: lt,
    Operator.LTE: le,
    Operator.GT: gt,
    Operator.GTE: ge,
}


def matches(filter: Filter | None, chunk: Chunk) -> bool:
    """Whether the chunk passes; None lets all pass."""
    match filter:
        case None:
            return True
        case And():
            return all(matches(part, chunk) for part in filter.parts)
        case Or():
            return any(matches(part, chunk) for part in filter.parts)
        case Not():
            return not matches(filter.part, chunk)
        case Compare():
            return holds(filter, value_of(chunk, filter.name))
        case _:
            assert_never(filter)


def holds(compare: Compare, value: Scalar | None) -> bool:
    """Whether the condition holds for the value that a chunk has under the name; None is none.

    Numbers are compared as numbers, 1 with 1.0, and exactly; true and false are no numbers. Text is compared by code points.
    """
    if value is None:
        return False
    match compare.operator:
        case Operator.EXISTS:
            return True
        case Operator.EQ | Operator.IN:
            return any(_equal(value, wanted) for wanted in compare.scalars)
        case Operator.CONTAINS:
            return isinstance(value, str) and isinstance(compare.value, str) and compare.value in value
        case _:
            return _ordered(compare.operator, value, compare.scalar)


def value_of(chunk: Chunk, name: str) -> Scalar | None:
    """What the chunk has under a name; None where it has nothing that can be compared."""
    if name in RESERVED:
        return {"document": chunk.document, "document_id": chunk.document_id, "page": chunk.page}[name]
    value = chunk.attributes.get(name)
    return value if isinstance(value, str | int | float) else None


def values_of(chunk: Chunk) -> Mapping[str, Scalar]:
    """All that a chunk can be filtered by."""
    found = {name: value_of(chunk, name) for name in (*chunk.attributes, *RESERVED)}
    return {name: value for name, value in found.items() if value is not None}


def _equal(one: Scalar, other: Scalar) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _ordered(operator: Operator, value: Scalar, bound: Scalar) -> bool:
    if isinstance(value, bool) or isinstance(bound, bool) or isinstance(value, str) != isinstance(bound, str):
        return False
    return bool(_ORDERS[operator](value, bound))
