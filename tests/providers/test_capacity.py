"""Calls and tokens of a minute, by the times that a caller gives."""

import pytest

from providers.capacity import Capacity, Limits


def test_a_minutes_calls_are_used_up_and_come_back_bit_by_bit() -> None:
    capacity = Capacity(Limits(requests_per_minute=3))
    for _ in range(3):
        assert capacity.wait_s(10, 0, now=1000) == 0
        capacity.take(10, now=1000)
    wait = capacity.wait_s(10, 0, now=1001)
    assert 59 < wait <= 120
    assert capacity.wait_s(10, 0, now=1001 + wait + 0.01) == 0


def test_tokens_count_as_estimated_until_they_are_known() -> None:
    capacity = Capacity(Limits(tokens_per_minute=1000))
    capacity.take(800, now=5000)
    assert capacity.wait_s(300, 0, now=5000) > 0
    capacity.correct(-700, now=5001)
    assert capacity.wait_s(300, 0, now=5001) == 0


def test_a_request_larger_than_the_limit_has_its_turn_when_all_is_free() -> None:
    assert Capacity(Limits(tokens_per_minute=100)).wait_s(5000, 0, now=9000) == 0


@pytest.mark.parametrize(("in_flight", "free"), [(1, True), (2, False), (3, False)])
def test_calls_at_once_are_counted(in_flight: int, free: bool) -> None:
    assert (Capacity(Limits(concurrent=2)).wait_s(1, in_flight, now=1) == 0) is free


def test_of_two_aliases_limits_the_tighter_counts() -> None:
    assert Limits(10, None, 5).tighter(Limits(20, 7, 3)) == Limits(10, 7, 3)
