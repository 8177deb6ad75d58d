"""The alerts of one process: counted where they repeat, passed on to the book, told without one."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from core.alerts import Alert, AlertKind, Alerts, Severity

OUTAGE, CREDENTIAL = AlertKind.PROVIDER_OUTAGE, AlertKind.AUTHENTICATION_FAILED


class Told:
    """A route that remembers; a book that does."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def __call__(self, alert: Alert) -> None:
        self.alerts.append(alert)

    put = __call__

    def settle(self) -> None:
        """Nothing waits."""

    @property
    def said(self) -> list[tuple[str, bool]]:
        return [(alert.key, alert.recovered) for alert in self.alerts]


@pytest.fixture
def told() -> Told:
    return Told()


def test_the_log_is_told_without_any_configuration() -> None:
    alerts = Alerts()
    with capture_logs() as lines:
        alerts.raise_(OUTAGE, key="openai/gpt-4o", provider="openai")
        alerts.recover(OUTAGE, key="openai/gpt-4o")
        alerts.raise_(AlertKind.LATENCY, key="openai/gpt-4o")
    assert [(line["event"], line["log_level"], line["kind"]) for line in lines] == [
        ("alert.raised", "error", "provider_outage"),
        ("alert.recovered", "info", "provider_outage"),
        ("alert.raised", "warning", "latency"),
    ]
    assert lines[0]["provider"] == "openai"


def test_the_same_is_told_once_a_window_and_every_key_for_itself(told: Told) -> None:
    alerts = Alerts(routes=[told])
    for key in ("a", "a", "b"):
        alerts.raise_(OUTAGE, key=key)
    alerts.raise_(CREDENTIAL, key="a")
    alerts.raise_(OUTAGE, key="a", tenant="acme")
    assert told.said == [("a", False), ("b", False), ("a", False), ("a", False)]
    again = Alerts(routes=[told], window_s=0)
    again.raise_(OUTAGE, key="c")
    again.raise_(OUTAGE, key="c")
    assert told.said[4:] == [("c", False), ("c", False)], "a window that is over"


def test_recovery_is_told_once_and_only_of_what_was_raised(told: Told) -> None:
    alerts = Alerts(routes=[told])
    alerts.recover(OUTAGE, key="a")
    alerts.raise_(OUTAGE, key="a")
    alerts.recover(OUTAGE, key="a")
    alerts.recover(OUTAGE, key="a")
    assert told.said == [("a", False), ("a", True)]


def test_what_flaps_within_a_window_is_told_once(told: Told) -> None:
    alerts = Alerts(routes=[told])
    for _ in range(3):
        alerts.raise_(OUTAGE, key="a")
        alerts.recover(OUTAGE, key="a")
    assert told.said == [("a", False), ("a", True)]


def test_what_repeats_is_counted_and_the_book_hears_of_every_turn(told: Told) -> None:
    alerts = Alerts(book=told)
    for _ in range(3):
        alerts.raise_(OUTAGE, key="a")
    alerts.recover(OUTAGE, key="a")
    alerts.raise_(OUTAGE, key="a")
    assert [(alert.recovered, alert.count) for alert in told.alerts] == [(False, 1), (True, 2), (False, 1)]


def test_what_others_have_seen_is_over_for_all(told: Told) -> None:
    Alerts(book=told).recover(OUTAGE, key="a", known=True)
    assert told.said == [("a", True)]


def test_a_route_that_fails_keeps_no_other_from_telling(told: Told) -> None:
    def broken(alert: Any) -> None:
        raise ConnectionError

    alerts = Alerts(routes=[broken, told])
    with capture_logs() as lines:
        alerts.raise_(OUTAGE, key="a")
    assert told.said == [("a", False)]
    assert lines[0]["event"] == "alert.route_failed"


@pytest.mark.parametrize(
    ("share", "severity"), [(0.5, Severity.INFO), (0.8, Severity.WARNING), (1.0, Severity.CRITICAL)], ids=str
)
def test_a_budget_is_the_worse_the_more_of_it_is_used(share: float, severity: Severity) -> None:
    assert Alert(AlertKind.BUDGET_USED, "bud", recovered=False, facts={"share": share}).severity is severity
