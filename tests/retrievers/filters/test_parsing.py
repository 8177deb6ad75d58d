from typing import Any

import pytest
from hypothesis import given

from core.errors import InvalidRequest
from retrievers.filters import And, Compare, Not, Operator, Or, names, parse, required_names
from tests.retrievers.filtering import FILTERS

KIND = Compare("kind", Operator.EQ, "manual")
YEAR = Compare("year", Operator.GTE, 2020)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (None, None),
        ({}, None),
        ({"kind": "manual"}, KIND),
        ({"kind": {"eq": "manual"}}, KIND),
        ({"kind": {"ne": "manual"}}, Not(KIND)),
        ({"kind": "manual", "year": {"gte": 2020}}, And((KIND, YEAR))),
        ({"year": {"gte": 2020, "lt": 2024}}, And((YEAR, Compare("year", Operator.LT, 2024)))),
        ({"or": [{"kind": "manual"}, {"year": {"gte": 2020}}]}, Or((KIND, YEAR))),
        ({"and": [{"kind": "manual"}]}, And((KIND,))),
        ({"not": {"kind": "manual"}}, Not(KIND)),
        ({"kind": {"in": ["a", 1, True]}}, Compare("kind", Operator.IN, ("a", 1, True))),
        ({"kind": {"in": []}}, Compare("kind", Operator.IN, ())),
        ({"kind": {"exists": True}}, Compare("kind", Operator.EXISTS, True)),
        ({"kind": {"exists": False}}, Not(Compare("kind", Operator.EXISTS, True))),
        ({"kind": {"contains": "man"}}, Compare("kind", Operator.CONTAINS, "man")),
        # names that operators have are names where a value follows them
        (
            {"and": "x", "or": 1, "not": True},
            And(tuple(Compare(n, Operator.EQ, v) for n, v in (("and", "x"), ("or", 1), ("not", True)))),
        ),
        ({"$or": "x"}, Compare("$or", Operator.EQ, "x")),
    ],
    ids=range(17),
)
def test_what_is_written_is_meant(written: Any, meant: Any) -> None:
    assert parse(written) == meant
    assert parse(meant) == meant


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("kind", "maps names to values"),
        ([], "maps names to values"),
        ({"": 1}, "1 to 1,000 characters"),
        ({1: 1}, "1 to 1,000 characters"),
        ({"n" * 1001: 1}, "1 to 1,000 characters"),
        ({"a\0": 1}, "1 to 1,000 characters"),
        ({"kind": None}, "“kind” of the filter cannot be used: it is null"),
        ({"kind": ["a"]}, "it is a list; write {“in”: […]}"),
        ({"kind": {}}, "give an operator, one of eq, ne, lt"),
        ({"kind": {"$ne": 1}}, "is no operator; there are eq, ne, lt, lte, gt, gte, in, exists, contains"),
        ({"year": {"less": 1}}, "“less” is no operator"),
        ({"year": {"lt": True}}, "“year.lt” of the filter cannot be used: it takes a number or a text"),
        ({"year": {"lt": [1]}}, "it is a list"),
        ({"year": {"in": 1}}, "it takes a list"),
        ({"year": {"in": [[1]]}}, "it is a list"),
        ({"year": {"exists": 1}}, "it takes true or false"),
        ({"year": {"contains": 1}}, "it takes a text"),
        ({"year": {"contains": ""}}, "it takes a text"),
        ({"year": object()}, "it takes a text, a number, true or false"),
        ({"year": 2**63}, "out of range"),
        ({"year": float("nan")}, "out of range"),
        ({"year": {"lt": float("inf")}}, "out of range"),
        ({"year": "x" * 4001}, "at most 4,000 characters"),
        ({"year": "\ud800"}, "at most 4,000 characters"),
        ({"or": []}, "“or” of the filter cannot be used: there is no condition in it"),
        ({"and": [{}]}, "“and[0]” of the filter cannot be used: there is no condition in it"),
        ({"not": {}}, "there is no condition in it"),
        ({"or": [{"a": 1}, "x"]}, "“or[1]” of the filter cannot be used: a filter maps"),
        ({"or": [{"a": 1}, {"year": {"less": 1}}]}, "“or[1].year”"),
        ({f"n{number}": 1 for number in range(101)}, "more than 100 conditions"),
        ({"a": {"in": list(range(1001))}}, "more than 1000 values"),
    ],
    ids=range(31),
)
def test_what_is_wrong_is_told_with_its_place(wrong: Any, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(wrong)
    assert (refused.value.code, refused.value.param) == ("invalid_filter", "filter")
    assert said in refused.value.message


def test_a_filter_is_only_so_deep() -> None:
    deep: dict[str, Any] = {"kind": "manual"}
    for _ in range(8):
        deep = {"not": deep}
    assert parse(deep) is not None
    for deeper in ({"not": deep}, {"or": [deep]}, {"and": [{"and": [{"not": deep}]}]}):
        with pytest.raises(InvalidRequest, match="8 levels"):
            parse(deeper)


def test_a_secret_in_the_place_of_a_name_is_not_told() -> None:
    secret = "sk-ant-api03-" + "x" * 60
    for wrong in ({secret: None}, {"a": {secret: 1}}, {"or": [{secret: {secret: 1}}]}):
        with pytest.raises(InvalidRequest) as refused:
            parse(wrong)
        assert secret not in refused.value.message


@given(FILTERS)
def test_every_filter_of_the_strategy_is_one_and_can_be_told_by_its_names(written: dict[str, Any]) -> None:
    filter = parse(written)
    assert filter is not None
    assert set(required_names(filter)) <= set(names(filter))


def test_required_are_the_names_without_which_nothing_passes() -> None:
    filter = parse({"a": 1, "or": [{"b": 1}, {"c": 1}], "not": {"d": 1}, "e": {"exists": False}, "f": {"lt": 3}})
    assert names(filter) == ["a", "b", "c", "d", "e", "f"]
    assert required_names(filter) == ["a", "f"]
    assert names(None) == required_names(None) == []
