"""Opening, probing and closing, by the times that a caller gives."""

import pytest

from core.settings import BreakerSettings
from providers.breaker import Breaker, Lease, State

RULES = BreakerSettings(failures=3, failure_rate=0.5, window_s=30, window_calls=10, probe_s=10)


@pytest.fixture
def opened() -> Breaker:
    breaker = Breaker(RULES)
    for second in range(3):
        breaker.failed(second, second)
    assert breaker.state is State.OPEN
    return breaker


def test_opens_on_failures_in_a_row_and_not_on_those_between_successes() -> None:
    breaker = Breaker(RULES)
    for second in (1, 2):
        breaker.failed(second, second)
    breaker.succeeded(2, 3)
    for second in (3, 4):
        breaker.failed(second, second)
        assert breaker.closed
    breaker.failed(5, 5)
    assert breaker.state is State.OPEN


def test_opens_on_a_share_of_failures_within_the_window() -> None:
    breaker = Breaker(RULES)
    for second in range(2, 10, 2):
        breaker.succeeded(second, second)
        breaker.failed(second + 1, second + 1)
        assert breaker.closed, "too few calls to judge by"
    breaker.succeeded(10, 10)
    breaker.failed(11, 11)
    assert breaker.state is State.OPEN


def test_a_window_that_has_passed_does_not_count() -> None:
    breaker = Breaker(RULES)
    for second in (1, 2, 3, 4, 5):
        breaker.failed(second, second)
        breaker.succeeded(second, second)
    breaker.failed(100, 100)
    assert breaker.closed


def test_gives_the_right_to_probe_to_one_within_the_interval(opened: Breaker) -> None:
    assert not opened.take_probe(5)
    assert opened.take_probe(2 + RULES.probe_s)
    assert opened.state is State.HALF_OPEN
    assert not opened.take_probe(2 + RULES.probe_s)


def test_a_probe_that_fails_is_followed_by_one_an_interval_later(opened: Breaker) -> None:
    assert opened.take_probe(12)
    opened.failed(12, 13)
    assert opened.state is State.OPEN
    assert not opened.take_probe(13)
    assert opened.take_probe(12 + RULES.probe_s)


def test_a_probe_that_does_not_come_back_holds_up_none_of_the_next(opened: Breaker) -> None:
    assert opened.take_probe(12)
    assert not opened.take_probe(12 + 0.5 * RULES.probe_s), "one within the interval"
    again = 12 + RULES.probe_s
    assert opened.take_probe(again)
    opened.failed(12, again + 1)
    assert opened.state is State.HALF_OPEN, "the first one's end says nothing of the second"
    opened.succeeded(again, again + 1)
    assert opened.closed


def test_a_provider_that_answers_beside_the_calls_is_tried_though_a_probe_hangs(opened: Breaker) -> None:
    assert opened.take_probe(12)
    opened.encourage(13)
    assert opened.take_probe(13)
    assert not opened.take_probe(13)


def test_a_probe_that_succeeds_closes_and_an_older_call_does_not(opened: Breaker) -> None:
    opened.succeeded(1, 11)
    assert opened.state is State.OPEN, "it was begun before the failures"
    assert opened.take_probe(12)
    opened.succeeded(12, 13)
    assert opened.closed
    opened.failed(14, 14)
    assert opened.closed, "it counts from the beginning"


def test_a_probe_whose_caller_leaves_is_given_to_another(opened: Breaker) -> None:
    assert opened.take_probe(12)
    opened.abandoned(5)
    assert not opened.take_probe(13), "an older call's end says nothing of the probe"
    opened.abandoned(12)
    assert opened.take_probe(13)


def test_where_processes_share_the_right_is_asked_for_first(opened: Breaker) -> None:
    opened.shared = True
    assert not opened.take_probe(12)
    assert opened.lease is Lease.WANTED
    opened.lease, opened.leased_until = Lease.HELD, 13
    assert not opened.take_probe(14), "the right has ended"
    opened.lease = Lease.HELD
    assert opened.take_probe(12)
    assert opened.lease is Lease.NONE
