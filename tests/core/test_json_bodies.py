"""JSON that is too deep, too large or too odd is refused before anything reads it."""

import json
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from core.errors import MalformedJSON, PlatformError
from core.json_bodies import check_json, most_values


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"{'a': 1}", 400, "malformed_json"),
        (b'{"a": NaN}', 400, "malformed_json"),
        (b'"\\ud800"', 400, "malformed_json"),
        (b'"\xff"', 400, "malformed_json"),
        (b"1e999", 400, "malformed_json"),
        (nested(60_000), 400, "json_too_deep"),
        (b'{"a":' * 60_000 + b"1" + b"}" * 60_000, 400, "json_too_deep"),
        (b"[" * 60_000, 400, "json_too_deep"),
        (b'"' + b"[" * 60_000, 400, "json_too_deep"),
        (b"[" + b"[]," * 60_000 + b"[]]", 413, "json_too_large"),
        (b"[" + b"1," * 60_000 + b"1]", 413, "json_too_large"),
        (b"1" * 4000, 400, "malformed_json"),
        (b"[18446744073709551616]", 422, "number_too_large"),
        (b"[-9223372036854775809]", 422, "number_too_large"),
        (b'"a\\u0000b"', 422, "invalid_text"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_odd_json_is_refused(body: bytes, status: int, code: str) -> None:
    with pytest.raises(PlatformError) as refused:
        check_json(body, 64)
    assert (refused.value.status, refused.value.code) == (status, code)


@pytest.mark.parametrize(
    "value",
    [
        {"messages": [{"role": "user", "content": '[[[[{{{{ , , , \\ " ' * 5000}]},
        {"a": 2**63 - 1, "b": -(2**63) + 1, "c": 1.5e300},
        {"digits in a text": "123456789012345678901234567890"},
        {"an escaped backslash": "\\u0000"},
        json.loads(nested(64)),
        ["ünïcödé 漢字 🎉"],
    ],
    ids=lambda value: str(value)[:24],
)
def test_unusual_but_sound_json_passes(value: object) -> None:
    check_json(json.dumps(value).encode(), 64)
    check_json(json.dumps(value, ensure_ascii=False).encode(), 64)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: b'"' + b"\\\\" * 2_000_000, id="escapes without end"),
        pytest.param(lambda: b'"' + b"[," * 2_000_000, id="brackets in an open string"),
        pytest.param(lambda: b'["' + b"[,{" * 2_000_000 + b'"]', id="brackets in a string"),
        pytest.param(lambda: b'{"a' * 1_000_000, id="strings that open and open"),
    ],
)
def test_a_hostile_body_is_walked_through_in_linear_time(make: Callable[[], bytes]) -> None:
    body = make()
    started = time.perf_counter()
    with suppress(PlatformError):
        check_json(body, 64)
    assert time.perf_counter() - started < 5  # it takes 0.1 s; a walk that is not linear takes hours


def test_levels_around_a_body_are_not_its_own() -> None:
    check_json(nested(65), 64, around=1)
    with pytest.raises(MalformedJSON, match="deeper than 64"):
        check_json(nested(66), 64, around=1)


def test_texts_that_come_as_tokens_may_be_many() -> None:
    tokens = json.dumps({"input": [1] * 100_000}).encode()
    check_json(tokens, 64, most_values("/v1/embeddings"))
    with pytest.raises(PlatformError):
        check_json(tokens, 64, most_values("/v1/chat/completions"))
