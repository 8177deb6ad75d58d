"""What of a filter a store can say, where its own language does not know all of it.

What it can say lets pass all that the filter does, and maybe more: the rest is checked by `matches` afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass

from retrievers.filters.expressions import And, Compare, Filter, Not, Or

#: Whether a store can say a condition, and, where the second is True, that it does not hold.
Sayable = Callable[[Compare, bool], bool]


@dataclass(frozen=True, slots=True)
class Narrowed:
    """`filter` is for the store, with `Not` around single conditions alone; None where it can say nothing. Unless `exact`, what
    it finds has to be checked against the whole filter."""

    filter: Filter | None
    exact: bool


def narrow(filter: Filter | None, sayable: Sayable) -> Narrowed:
    """The strongest that can be said of the filter."""
    if filter is None:
        return Narrowed(None, exact=True)
    return _narrow(filter, sayable, negated=False)


def _narrow(filter: Filter, sayable: Sayable, *, negated: bool) -> Narrowed:
    match filter:
        case Not(part=part):
            return _narrow(part, sayable, negated=not negated)
        case Compare():
            if not sayable(filter, negated):
                return Narrowed(None, exact=False)
            return Narrowed(Not(filter) if negated else filter, exact=True)
    parts = [_narrow(part, sayable, negated=negated) for part in filter.parts]
    exact = all(part.exact for part in parts)
    said = tuple(part.filter for part in parts if part.filter is not None)
    if isinstance(filter, And) is not negated:  # by De Morgan, a negated "or" is an "and"
        return Narrowed(And(said) if said else None, exact)
    return Narrowed(Or(said) if len(said) == len(parts) else None, exact)
