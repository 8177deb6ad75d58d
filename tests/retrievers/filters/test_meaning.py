from typing import Any

import pytest

from retrievers.base import Chunk
from retrievers.filters import matches, parse, value_of, values_of

HELD = {"kind": "manual", "year": 2020, "part": 2.5, "draft": False, "n": 1, "t": True, "list": ["a"], "document": "shadow"}
CHUNK = Chunk("chk_1", "doc_a", "a.md", 1, "text", 0, 4, page=3, attributes=HELD)


@pytest.mark.parametrize(
    "filter",
    [
        {"kind": "manual"},
        {"year": 2020.0},
        {"n": 1.0, "t": True},
        {"draft": False},
        {"document": "a.md", "document_id": "doc_a", "page": 3},
        {"page": {"gt": 2.5, "lte": 3}},
        {"kind": {"contains": "anu"}},
        {"kind": {"lt": "manuals", "gte": "manual", "gt": "Manual"}},
        {"part": {"gt": 2, "lt": 3}},
        {"year": {"in": ["2020", 2020]}},
        {"year": {"exists": True}, "missing": {"exists": False}, "list": {"exists": False}},
        # what is not there, or of another kind, is not equal, nor smaller or greater
        {"missing": {"ne": 1}},
        {"not": {"missing": {"gt": 0}}},
        {"year": {"ne": "2020"}},
        {"not": {"year": {"lt": "3000"}}},
        {"or": [{"kind": "x"}, {"year": 2020}]},
        {"and": [{"kind": "manual"}, {"not": {"kind": "x"}}]},
        {"not": {"and": [{"kind": "manual"}, {"year": 1}]}},
    ],
    ids=range(18),
)
def test_these_let_it_pass(filter: dict[str, Any]) -> None:
    assert matches(parse(filter), CHUNK)


@pytest.mark.parametrize(
    "filter",
    [
        {"kind": "Manual"},
        {"kind": "manua"},
        {"n": True},
        {"t": 1},
        {"draft": 0},
        {"document": "shadow"},
        {"page": "3"},
        {"page": {"contains": "3"}},
        {"missing": 1},
        {"missing": {"gt": -1}},
        {"kind": {"gt": 1}},
        {"year": {"lt": "3000"}},
        {"draft": {"lt": 1}},
        {"year": {"in": []}},
        {"kind": {"ne": "manual"}},
        {"kind": {"contains": "Manual"}},
        {"list": {"contains": "a"}},
        {"year": {"lt": 2020}},
        {"year": {"gt": 2020}},
        {"or": [{"kind": "x"}, {"year": 1}]},
        {"kind": "manual", "year": 1},
        {"not": {"kind": "manual"}},
    ],
    ids=range(22),
)
def test_these_do_not(filter: dict[str, Any]) -> None:
    assert not matches(parse(filter), CHUNK)


def test_whole_numbers_and_others_are_compared_exactly() -> None:
    def held(value: float, **filter: Any) -> bool:
        return matches(parse({"n": filter}), Chunk("c", "d", "d", 1, "", 0, 0, attributes={"n": value}))

    assert held(2**53 + 1, gt=float(2**53))
    assert not held(2**53 + 1, eq=float(2**53))
    assert held(float(2**53), lt=2**53 + 1)
    assert held(float(2**62), eq=2**62)


def test_no_filter_lets_all_pass_and_what_a_chunk_has_is_told() -> None:
    assert matches(None, CHUNK)
    assert value_of(CHUNK, "list") is None
    assert "list" not in values_of(CHUNK)
    assert values_of(CHUNK)["document"] == "a.md"
