from typing import Any

import pytest

from retrievers.filters import narrow, parse
from retrievers.stores.chroma_filter import sayable, where


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (None, None),
        ({"kind": "a"}, {"attr.kind": {"$in": ["a"]}}),
        ({"document_id": "doc_a"}, {"document_id": {"$in": ["doc_a"]}}),
        ({"year": 2024.0}, {"attr.year": {"$in": [2024]}}),
        ({"year": {"ne": 2024}}, {"attr.year": {"$nin": [2024]}}),
        ({"kind": {"in": ["a", 1, "b"]}}, {"$or": [{"attr.kind": {"$in": ["a", "b"]}}, {"attr.kind": {"$in": [1]}}]}),
        ({"kind": {"in": []}}, {"document_id": {"$eq": ""}}),
        ({"not": {"kind": {"in": []}}}, {"document_id": {"$ne": ""}}),
        ({"year": {"lt": 2.5}}, {"$or": [{"attr.year": {"$lt": 2.5}}, {"attr.year": {"$lte": 2}}]}),
        ({"kind": "a", "title": {"contains": "b"}}, {"attr.kind": {"$in": ["a"]}}),
        ({"title": {"contains": "b"}}, None),
        ({"or": [{"kind": "a"}, {"title": {"gt": "b"}}]}, None),
        ({"part": 2.5}, None),
        ({"n": 2**60}, None),
    ],
    ids=range(14),
)
def test_what_chroma_can_say_is_said(written: dict[str, Any] | None, said: dict[str, Any] | None) -> None:
    assert where(narrow(parse(written), sayable).filter) == said
