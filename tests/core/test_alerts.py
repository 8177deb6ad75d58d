"""Alerts: once a window and key, over processes, with a notice when it is over."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from core.alerts import Alert, AlertKind, Alerts
from core.redis_clients import RedisClients
from core.settings import Settings
from core.valkey import EmbeddedValkey

OUTAGE, CREDENTIAL = AlertKind.PROVIDER_OUTAGE, AlertKind.AUTHENTICATION_FAILED


class Told:
    """A route that remembers."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def __call__(self, alert: Alert) -> None:
        self.alerts.append(alert)

    @property
    def said(self) -> list[tuple[str, bool]]:
        return [(alert.key, alert.recovered) for alert in self.alerts]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    valkey = EmbeddedValkey(Settings.load(data_dir=tmp_path_factory.mktemp("alerts")))
    yield valkey.start()
    valkey.close()


@pytest.fixture
async def two_processes(redis_url: str, told: Told) -> AsyncIterator[tuple[Alerts, Alerts]]:
    clients = RedisClients(redis_url)
    await clients.get().flushall()
    yield Alerts(clients=clients, routes=[told]), Alerts(clients=clients, routes=[told])
    await clients.close()


def test_the_log_is_told_without_any_configuration() -> None:
    alerts = Alerts()
    with capture_logs() as lines:
        alerts.raise_(OUTAGE, key="openai/gpt-4o", provider="openai")
        alerts.recover(OUTAGE, key="openai/gpt-4o")
    assert [(line["event"], line["log_level"], line["kind"]) for line in lines] == [
        ("alert.raised", "error", "provider_outage"),
        ("alert.recovered", "info", "provider_outage"),
    ]
    assert lines[0]["provider"] == "openai"


def test_the_same_is_told_once_a_window_and_every_key_for_itself(told: Told) -> None:
    alerts = Alerts(routes=[told])
    for key in ("a", "a", "b"):
        alerts.raise_(OUTAGE, key=key)
    alerts.raise_(CREDENTIAL, key="a")
    assert told.said == [("a", False), ("b", False), ("a", False)]
    again = Alerts(routes=[told], window_s=0)
    again.raise_(OUTAGE, key="c")
    again.raise_(OUTAGE, key="c")
    assert told.said[3:] == [("c", False), ("c", False)], "a window that is over"


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


async def test_two_processes_tell_once_together(two_processes: tuple[Alerts, Alerts], told: Told) -> None:
    one, other = two_processes
    for alerts in (one, other):
        alerts.raise_(OUTAGE, key="a")
        await alerts.settled()
    assert told.said == [("a", False)]
    for alerts in (other, one):
        alerts.recover(OUTAGE, key="a")
        await alerts.settled()
    assert told.said == [("a", False), ("a", True)], "whoever sees it first tells that it is over"


async def test_a_restart_within_the_window_tells_nothing_again(two_processes: tuple[Alerts, Alerts], told: Told) -> None:
    one, restarted = two_processes
    one.raise_(OUTAGE, key="a")
    await one.settled()
    restarted.raise_(OUTAGE, key="a")
    await restarted.settled()
    assert told.said == [("a", False)]


async def test_a_process_tells_for_itself_where_redis_is_away(told: Told, unused_tcp_port: int) -> None:
    clients = RedisClients(f"redis://127.0.0.1:{unused_tcp_port}")
    alerts = Alerts(clients=clients, routes=[told])
    alerts.raise_(OUTAGE, key="a")
    alerts.raise_(OUTAGE, key="a")
    await alerts.settled()
    alerts.recover(OUTAGE, key="a")
    await alerts.settled()
    await clients.close()
    assert told.said == [("a", False), ("a", True)]


async def test_it_is_told_from_a_thread_without_a_loop(two_processes: tuple[Alerts, Alerts], told: Told) -> None:
    await asyncio.to_thread(two_processes[0].raise_, OUTAGE, key="a")
    assert told.said == [("a", False)]


def test_a_route_that_fails_keeps_no_other_from_telling(told: Told) -> None:
    def broken(alert: Any) -> None:
        raise ConnectionError

    alerts = Alerts(routes=[broken, told])
    with capture_logs() as lines:
        alerts.raise_(OUTAGE, key="a")
    assert told.said == [("a", False)]
    assert lines[0]["event"] == "alert.route_failed"
