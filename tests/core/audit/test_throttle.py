"""What repeats is counted, and nobody can flood the log."""

from dataclasses import replace
from datetime import UTC, datetime

from core.audit import Action, Outcome
from core.audit.events import Event
from core.audit.throttle import Throttle
from core.principals import ANONYMOUS

EVENT = Event(
    tenant="acme",
    at=datetime(2026, 1, 1, tzinfo=UTC),
    action=Action.SCOPE_DENIED,
    outcome=Outcome.DENIED,
    actor="usr_1",
    key_id="key_1",
    on=("scope", "keys:manage"),
    address="10.0.0.1",
    request_id="req_1",
    details={},
)


def test_the_same_again_within_the_window_is_counted_and_told_at_its_end() -> None:
    throttle = Throttle(window_s=60)
    assert throttle.passes(EVENT, 0)
    assert not any(throttle.passes(replace(EVENT, request_id=f"req_{number}"), 10 + number) for number in range(5))
    assert throttle.ended(59) == []
    (told,) = throttle.ended(60)
    assert (told.details, told.request_id) == ({"repeated": 5}, "req_4")


def test_one_that_goes_on_is_told_once_a_window() -> None:
    throttle = Throttle(window_s=60)
    told = 0
    for second in range(600):
        told += throttle.passes(EVENT, second)
        told += len(throttle.ended(second))
    assert told == 10


def test_one_that_comes_again_after_a_quiet_window_is_told_at_once() -> None:
    throttle = Throttle(window_s=60)
    throttle.passes(EVENT, 0)
    assert throttle.ended(61) == []
    assert throttle.next_end() is None
    assert throttle.passes(EVENT, 62)


def test_what_differs_in_who_or_on_what_is_told_apart() -> None:
    throttle = Throttle()
    others = [
        replace(EVENT, tenant="other"),
        replace(EVENT, actor="usr_2"),
        replace(EVENT, key_id="key_2"),
        replace(EVENT, on=("scope", "rag:write")),
        replace(EVENT, action=Action.NETWORK_DENIED),
        replace(EVENT, details={"method": "oidc"}),
        replace(EVENT, details={"method": "password"}),
    ]
    assert all(throttle.passes(event, 0) for event in [EVENT, *others])


def test_anonymous_callers_are_told_apart_by_their_site() -> None:
    throttle = Throttle()
    nobody = replace(EVENT, actor=ANONYMOUS.id, key_id=None, on=None)
    assert throttle.passes(replace(nobody, address="10.0.0.1"), 0)
    assert throttle.passes(replace(nobody, address="10.0.0.2"), 0)
    assert throttle.passes(replace(nobody, address="2001:db8::1"), 0)
    assert not throttle.passes(replace(nobody, address="2001:db8::2"), 0)


def test_a_flood_of_different_events_is_counted_together() -> None:
    throttle = Throttle(most=10)
    passed = sum(throttle.passes(replace(EVENT, actor=f"usr_{number}"), 0) for number in range(1000))
    assert passed == 11
    assert sum(event.details["repeated"] for event in throttle.rest()) == 989


def test_what_was_done_is_told_each_time() -> None:
    throttle = Throttle()
    done = replace(EVENT, action=Action.CACHE_DROPPED, outcome=Outcome.SUCCESS)
    assert all(throttle.passes(done, 0) for _ in range(3))
    assert throttle.rest() == []


def test_tokens_that_a_program_fetches_for_each_request_are_counted() -> None:
    throttle = Throttle()
    issued = replace(EVENT, action=Action.TOKEN_ISSUED, outcome=Outcome.SUCCESS, on=("key", "key_1"))
    assert [throttle.passes(issued, 0) for _ in range(3)] == [True, False, False]


def test_refusals_by_different_guards_are_told_apart() -> None:
    throttle = Throttle()
    blocked = replace(EVENT, action=Action.GUARD_BLOCKED, on=None)
    assert throttle.passes(replace(blocked, details={"guard": "patterns", "score": "0.90"}), 0)
    assert throttle.passes(replace(blocked, details={"guard": "topics", "score": "0.90"}), 0)
    assert not throttle.passes(replace(blocked, details={"guard": "topics", "score": "0.91"}), 0)
