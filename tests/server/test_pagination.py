"""Cursors: opaque, round, and refused when they are not ours."""

import pytest

from core.errors import InvalidRequest
from server.pagination import PageRequest, decode_cursor, encode_cursor, page, page_request


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
