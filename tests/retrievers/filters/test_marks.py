from typing import Any

from hypothesis import given, settings

from retrievers.filters import (
    And,
    Compare,
    Filter,
    Not,
    Operator,
    Or,
    by_marks,
    marks,
    marks_asked,
    matches,
    narrow,
    parse,
    weakened,
)
from tests.retrievers.filtering import FILTERS, chunks

HELD = [(chunk, set(marks(chunk))) for chunk in chunks(20)]


def passes(filter: Filter | None, held: set[str]) -> bool:
    """As a store that knows marks alone would read it."""
    match filter:
        case None:
            return True
        case And():
            return all(passes(part, held) for part in filter.parts)
        case Or():
            return any(passes(part, held) for part in filter.parts)
        case Not():
            return not passes(filter.part, held)
        case Compare():
            return not held.isdisjoint(marks_asked(filter))


@settings(max_examples=100, deadline=None)
@given(written=FILTERS)
def test_marks_let_pass_what_the_filter_does_and_nothing_else_where_they_say_all_of_it(written: dict[str, Any]) -> None:
    filter = parse(written)
    exact = narrow(filter, by_marks).exact
    said = narrow(weakened(filter, by_marks), by_marks).filter
    for chunk, held in HELD:
        found = passes(said, held)
        assert found >= matches(filter, chunk)
        if exact:
            assert found == matches(filter, chunk)


def test_what_cannot_be_said_is_put_as_that_the_name_is_there() -> None:
    there = Compare("year", Operator.EXISTS, True)
    assert weakened(parse({"year": {"gte": 2020}}), by_marks) == there
    assert weakened(parse({"year": {"gte": 2020}, "kind": "a"}), by_marks) == And((there, Compare("kind", Operator.EQ, "a")))
    assert weakened(parse({"not": {"year": {"gte": 2020}}}), by_marks) == parse({"not": {"year": {"gte": 2020}}})
    assert weakened(None, by_marks) is None


def test_marks_are_short_whatever_they_stand_for() -> None:
    for _, held in HELD:
        assert held
        assert all(len(mark) == 24 and mark.isalnum() for mark in held)
