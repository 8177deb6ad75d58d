from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from retrievers.filters import And, Compare, Filter, Narrowed, Not, Operator, Or, matches, narrow, parse
from tests.retrievers.filtering import FILTERS, chunks

CHUNKS = chunks()


def equality(compare: Compare, negated: bool) -> bool:
    return compare.operator is Operator.EQ and not negated


def test_what_cannot_be_said_is_left_to_the_check() -> None:
    kind, year = parse({"kind": "a"}), parse({"year": {"gt": 1}})
    assert kind is not None
    assert year is not None
    assert narrow(None, equality) == Narrowed(None, exact=True)
    assert narrow(kind, equality) == Narrowed(kind, exact=True)
    assert narrow(year, equality) == Narrowed(None, exact=False)
    assert narrow(And((kind, year)), equality) == Narrowed(And((kind,)), exact=False)
    assert narrow(Or((kind, year)), equality) == Narrowed(None, exact=False)
    assert narrow(Not(Not(kind)), equality) == Narrowed(kind, exact=True)
    assert narrow(Not(kind), equality) == Narrowed(None, exact=False)
    assert narrow(Not(Or((Not(kind), year))), equality) == Narrowed(And((kind,)), exact=False)


@given(FILTERS, st.sets(st.tuples(st.sampled_from(Operator), st.booleans())))
def test_it_lets_pass_all_that_the_filter_does_and_no_more_where_it_is_exact(
    written: dict[str, Any], said: set[tuple[Operator, bool]]
) -> None:
    filter = parse(written)
    narrowed = narrow(filter, lambda compare, negated: (compare.operator, negated) in said)
    assert negations_of_single_conditions(narrowed.filter)
    for chunk in CHUNKS:
        passes, wanted = matches(narrowed.filter, chunk), matches(filter, chunk)
        assert passes or not wanted
        assert not narrowed.exact or passes == wanted


def negations_of_single_conditions(filter: Filter | None) -> bool:
    if isinstance(filter, And | Or):
        return all(map(negations_of_single_conditions, filter.parts))
    return not isinstance(filter, Not) or isinstance(filter.part, Compare)
