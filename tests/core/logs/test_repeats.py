"""Warnings that repeat are counted."""

from typing import Any

import pytest

from core.logs.repeats import Repeats


def line(event: str = "provider.failed", level: str = "warning", **fields: Any) -> dict[str, Any]:
    return {"timestamp": "now", "level": level, "stream": "application", "event": event, **fields}


def test_the_first_passes_and_the_others_are_counted() -> None:
    repeats = Repeats()
    passed = [repeats.passes(line(request_id=f"req_{number}", status=500 + number)) for number in range(4)]
    (told,) = repeats.ended(all_of_them=True)
    assert passed == [True, False, False, False]
    assert (told["repeated"], told["request_id"]) == (3, "req_3")
    assert repeats.ended(all_of_them=True) == []


def test_nothing_is_told_before_its_window_is_over() -> None:
    repeats = Repeats()
    repeats.passes(line())
    repeats.passes(line())
    assert repeats.ended() == []


def test_a_window_that_is_over_and_counted_nothing_lets_the_next_pass() -> None:
    repeats = Repeats(window_s=0)
    assert [repeats.passes(line()) for _ in range(3)] == [True] * 3


@pytest.mark.parametrize(
    "fields", [{"provider": "azure"}, {"details": {"guard": "b"}}, {"tenant": "other"}, {"level": "error"}]
)
def test_what_says_something_else_is_not_the_same(fields: dict[str, Any]) -> None:
    repeats = Repeats()
    assert repeats.passes(line(provider="openai", details={"guard": "a"}))
    assert repeats.passes(line(**{"provider": "openai", "details": {"guard": "a"}} | fields))


def test_of_errors_some_more_pass_and_of_other_lines_all() -> None:
    repeats = Repeats()
    assert sum(repeats.passes(line(level="error")) for _ in range(50)) == 10
    assert all(repeats.passes(line(level="info")) for _ in range(50))
    assert all(repeats.passes(line(level="error") | {"stream": "audit"}) for _ in range(50))


def test_of_endlessly_many_different_ones_no_more_is_remembered() -> None:
    repeats = Repeats(most=3)
    passed = sum(repeats.passes(line(provider=f"p{number}")) for number in range(100))
    (told,) = repeats.ended(all_of_them=True)
    assert (passed, told["repeated"]) == (4, 96)


def test_what_is_counted_holds_no_frames() -> None:
    repeats = Repeats()
    repeats.passes(line(exc_info=True))
    repeats.passes(line(exc_info=True))
    (told,) = repeats.ended(all_of_them=True)
    assert "exc_info" not in told
