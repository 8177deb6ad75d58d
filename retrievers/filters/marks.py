"""What a chunk can be filtered by as short texts of letters and digits, for stores that know lists of texts and little else.

One mark says that a name is there, another one that it has a value: names and values of any length and any characters fit
into a store that wants short ones, and a name may have text in one chunk and a number in the next. Two conditions in one mark
are as rare as two files with one hash, and are checked by `matches` besides.
"""

from collections.abc import Callable
from hashlib import blake2b

from retrievers.base import Chunk
from retrievers.filters.expressions import And, Compare, Filter, Not, Operator, Or, Scalar
from retrievers.filters.meaning import values_of
from retrievers.filters.narrowing import Sayable
from retrievers.filters.terms import term

#: What no chunk has: marks are longer.
NO_MARK = "-"


def marks(chunk: Chunk) -> list[str]:
    """All that a chunk has; one at least, since it has a document."""
    return sorted(mark for name, value in values_of(chunk).items() for mark in (mark_of_name(name), mark_of(name, value)))


def mark_of_name(name: str) -> str:
    """Says that there is something under the name."""
    return _hashed(f"name\0{name}")


def mark_of(name: str, value: Scalar) -> str:
    """Says that there is this value, equal for equal values: 1 is 1.0, but not true."""
    return _hashed(f"value\0{term(name, value)}")


def marks_asked(compare: Compare) -> list[str]:
    """One of these is at a chunk for which EQ, IN or EXISTS holds; several values are as good as none where there are none."""
    if compare.operator is Operator.EXISTS:
        return [mark_of_name(compare.name)]
    return [mark_of(compare.name, value) for value in compare.scalars] or [NO_MARK]


def by_marks(compare: Compare, negated: bool) -> bool:
    """Whether marks say a condition, and, as they are all there, that it does not hold."""
    return compare.operator in (Operator.EQ, Operator.IN, Operator.EXISTS)


def weakened(filter: Filter | None, sayable: Sayable) -> Filter | None:
    """The filter with what cannot be said put as that the name is there, without which the condition does not hold. It lets
    pass all that the filter does."""
    return None if filter is None else _weakened(filter, sayable, negated=False)


def _weakened(filter: Filter, sayable: Callable[[Compare, bool], bool], *, negated: bool) -> Filter:
    match filter:
        case Not(part=part):
            return Not(_weakened(part, sayable, negated=not negated))
        case And(parts=parts):
            return And(tuple(_weakened(part, sayable, negated=negated) for part in parts))
        case Or(parts=parts):
            return Or(tuple(_weakened(part, sayable, negated=negated) for part in parts))
        case Compare():
            if negated or sayable(filter, negated):
                return filter
            return Compare(filter.name, Operator.EXISTS, True)


def _hashed(text: str) -> str:
    return blake2b(text.encode(), digest_size=12).hexdigest()
