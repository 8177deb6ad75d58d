from typing import Any

import pytest

from retrievers.filters import narrow, parse
from retrievers.stores.qdrant_filter import condition, sayable


def number(name: str, **bounds: float) -> dict[str, Any]:
    within = {"must": [{"key": "name", "match": {"value": name}}, {"key": "value", "range": bounds}]}
    return {"nested": {"key": "numbers", "filter": within}}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"kind": "a"}, {"key": "filter", "match": {"any": ['kind="a"']}}),
        ({"year": 2024.0}, {"key": "filter", "match": {"any": ["year=2024"]}}),
        ({"k": {"in": ["a", 1, True]}}, {"key": "filter", "match": {"any": ['k="a"', "k=1", "k=true"]}}),
        ({"k": {"in": []}}, {"has_id": []}),
        ({"k": {"ne": "a"}}, {"must_not": [{"key": "filter", "match": {"any": ['k="a"']}}]}),
        ({"k.x": {"exists": True}}, {"key": "named", "match": {"value": "k.x"}}),
        ({"page": {"gte": 2}}, number("page", gte=2.0)),
        ({"not": {"n": {"lt": 2.5}}}, {"must_not": [number("n", lt=2.5)]}),
        ({"kind": "a", "title": {"contains": "b"}}, {"must": [{"key": "filter", "match": {"any": ['kind="a"']}}]}),
    ],
    ids=range(9),
)
def test_what_qdrant_can_say_is_said(written: dict[str, Any], said: dict[str, Any]) -> None:
    narrowed = narrow(parse(written), sayable)
    assert narrowed.filter is not None
    assert condition(narrowed.filter) == said


@pytest.mark.parametrize("written", [{"t": {"contains": "b"}}, {"t": {"lt": "b"}}, {"n": {"gt": 2**53}}], ids=range(3))
def test_what_it_cannot_say_is_left_to_the_check(written: dict[str, Any]) -> None:
    narrowed = narrow(parse(written), sayable)
    assert narrowed.filter is None
    assert not narrowed.exact
