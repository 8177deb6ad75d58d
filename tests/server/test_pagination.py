"""Cursors: opaque, round, and refused when they are not ours."""

import json

import pytest

from core.errors import InvalidRequest
from server.openapi import SNAPSHOT
from server.pagination import PageRequest, decode_cursor, encode_cursor, page, page_of, page_request


def test_a_position_comes_back_from_its_cursor() -> None:
    for position in ("", "a", "doc_1|ä ß 漢", "x" * 500):
        assert decode_cursor(encode_cursor(position)) == position


def test_the_last_page_has_no_cursor() -> None:
    assert page([1, 2], None) == {"results": [1, 2], "next_cursor": None}
    assert page_request(7, page([1], "p")["next_cursor"]) == PageRequest(7, "p")


@pytest.mark.parametrize("cursor", ["!", "ü", "a", "_w", "AA", "%00", "=" * 9])
def test_a_cursor_that_no_list_gave_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        page_request(10, cursor)
    assert refused.value.code == "invalid_cursor"


def test_a_list_that_is_read_whole_is_shown_in_pages() -> None:
    seen: list[str] = []
    after = None
    while True:
        found = page_of(["c", "a", "b", "d", "e"], PageRequest(2, after), str)
        seen += found["results"]
        if found["next_cursor"] is None:
            break
        after = decode_cursor(found["next_cursor"])
    assert seen == ["c", "a", "b", "d", "e"]
    assert page_of(["a"], PageRequest(2, "gone"), str) == {"results": [], "next_cursor": None}


def test_every_list_is_paged() -> None:
    document = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    for path, methods in document["paths"].items():
        if "get" not in methods or path.startswith("/v1/"):
            continue
        operation = methods["get"]
        answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
        if "$ref" in answer:
            answer = document["components"]["schemas"][answer["$ref"].rpartition("/")[2]]
        assert answer.get("type") != "array", f"{path} is a bare list"
        if "results" in answer.get("properties", {}):
            assert "next_cursor" in answer["properties"], path
            assert {"limit", "cursor"} <= {parameter["name"] for parameter in operation.get("parameters", ())}, path
