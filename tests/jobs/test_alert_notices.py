"""Sending notices: until they arrive, in order, once, and none to where it must not go."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select, update

from core.alerts.routes import AlertRoutes
from core.database import Database, utc_now
from core.principals import SYSTEM
from core.settings import Settings
from core.tables import AlertDelivery, AlertRoute, AlertRow, DeliveryState
from jobs.alert_notices import Notices
from tests.jobs.sinks import Sink, mail_server, webhook


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with webhook() as made:
        yield made


@pytest.fixture
def sender(database: Database) -> Callable[..., Notices]:
    def made(**alerts: Any) -> Notices:
        told = {"private_networks": ["127.0.0.0/8"], "timeout_s": 5} | alerts
        return Notices(database, Settings.load(data_dir=database._settings.data_dir, alerts=told))

    return made


@pytest.fixture
def routed(database: Database) -> Callable[..., Any]:
    async def made(url: str, *, kind: str = "webhook", **more: Any) -> tuple[AlertRoute, str | None]:
        row = AlertRoute(tenant="default", name="r", kind=kind, least="info", created_by="x", **more)
        return await AlertRoutes(database).add(SYSTEM, row, url, "hint")

    return made


@pytest.fixture
def trial(database: Database) -> Callable[..., Any]:
    async def sent(route: AlertRoute) -> str:
        return (await AlertRoutes(database).try_out(SYSTEM, route.id)).id

    return sent


@pytest.fixture
def found(database: Database) -> Callable[..., Any]:
    async def rows() -> dict[str, AlertDelivery]:
        async with database.session(all_tenants=True) as session:
            return {row.id: row for row in (await session.exec(select(AlertDelivery))).all()}

    return rows


@pytest.fixture
def pass_time(database: Database) -> Callable[..., Any]:
    """As if so much time had gone by."""

    async def passed(**duration: float) -> None:
        gone = timedelta(**duration)
        async with database.transaction(all_tenants=True) as session:
            for row in (await session.exec(select(AlertDelivery))).all():
                row.next_at -= gone
                row.created_at -= gone
                row.leased_until = row.leased_until and row.leased_until - gone
                row.ended_at = row.ended_at and row.ended_at - gone
                session.add(row)

    return passed


async def test_a_receiver_that_fails_twice_gets_it_once_and_rightly_signed(
    sink: Sink, sender: Any, routed: Any, trial: Any, found: Any, pass_time: Any
) -> None:
    sink.statuses = [500, 302]
    route, secret = await routed(sink.url)
    notice = await trial(route)
    notices = sender()
    assert await notices.send() == 0
    assert await notices.send() == 0, "not before its time"
    assert len(sink.seen) == 1
    for _ in range(3):
        await pass_time(minutes=1)
        await notices.send()
    assert [seen[0] for seen in sink.seen] == [notice] * 3
    assert sink.taken == [notice]
    assert sink.all_signed(secret)
    assert json.loads(sink.seen[-1][2]) | {"at": ""} == {
        "id": notice,
        "type": "alert.test",
        "at": "",
        "tenant": "default",
        "platform": False,
        "alert": None,
        "withheld": 0,
    }
    row = (await found())[notice]
    assert (row.state, row.attempts, row.error) == ("delivered", 3, None)


async def test_what_comes_later_waits_for_what_was_first(
    sink: Sink, sender: Any, routed: Any, trial: Any, pass_time: Any
) -> None:
    sink.statuses = [500]
    route, _ = await routed(sink.url)
    first, second = await trial(route), await trial(route)
    notices = sender()
    await notices.send()
    await notices.send()
    assert sink.taken == []
    await pass_time(minutes=1)
    await notices.send()
    await notices.send()
    assert sink.taken == [first, second]


async def test_a_dead_route_keeps_no_other_waiting(
    sink: Sink, sender: Any, routed: Any, trial: Any, found: Any, unused_tcp_port: int
) -> None:
    dead, _ = await routed(f"http://127.0.0.1:{unused_tcp_port}/")
    alive, _ = await routed(sink.url)
    lost = [await trial(dead) for _ in range(5)]
    arrives = await trial(alive)
    assert await sender().send() == 1
    assert sink.taken == [arrives]
    rows = await found()
    assert [rows[each].attempts for each in lost] == [1, 0, 0, 0, 0]
    assert rows[lost[0]].error == "fetch_failed"


async def test_two_workers_send_it_once(sink: Sink, sender: Any, routed: Any, trial: Any) -> None:
    route, _ = await routed(sink.url)
    notice = await trial(route)
    assert sum(await asyncio.gather(*(sender().send() for _ in range(3)))) == 1
    assert sink.taken == [notice]


async def test_what_a_worker_died_over_is_sent_again_under_the_same_identifier(
    sink: Sink, sender: Any, routed: Any, trial: Any, pass_time: Any
) -> None:
    route, _ = await routed(sink.url)
    notice = await trial(route)
    sink.hold = asyncio.Event()
    dying = asyncio.ensure_future(sender().send())
    await sink.entered.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    sink.hold.set()
    other = sender()
    assert await other.send() == 0, "it may still be at it"
    await pass_time(minutes=5)
    assert await other.send() == 1
    assert set(sink.taken) == {notice}


async def test_no_private_address_is_called_that_is_not_allowed(
    sink: Sink, sender: Any, routed: Any, trial: Any, found: Any
) -> None:
    route, _ = await routed(sink.url)
    notice = await trial(route)
    await sender(private_networks=[]).send()
    assert sink.seen == []
    assert (await found())[notice].error == "url_refused"


async def test_a_notice_that_never_arrives_is_given_up(
    sink: Sink, sender: Any, routed: Any, trial: Any, found: Any, pass_time: Any
) -> None:
    sink.statuses = [500] * 2
    route, _ = await routed(sink.url)
    notice = await trial(route)
    notices = sender()
    await notices.send()
    await pass_time(hours=25)
    await notices.send()
    row = (await found())[notice]
    assert (row.state, row.error) == ("failed", "status_500")
    assert await notices.send() == 0
    assert len(sink.seen) == 2


async def test_a_route_that_is_switched_off_is_sent_nothing(
    database: Database, sink: Sink, sender: Any, routed: Any, trial: Any, found: Any
) -> None:
    route, _ = await routed(sink.url)
    notice = await trial(route)
    await AlertRoutes(database).change(SYSTEM, route.id, {"enabled": False})
    await sender().send()
    assert sink.seen == []
    assert ((await found())[notice].state, (await found())[notice].error) == ("failed", "route_disabled")


async def test_a_secret_that_was_sealed_for_another_route_opens_none(
    database: Database, sink: Sink, sender: Any, routed: Any, trial: Any, found: Any
) -> None:
    route, _ = await routed(sink.url)
    other, _ = await routed(sink.url)
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(AlertRoute).where(AlertRoute.id == other.id).values(target=route.target))
    notice = await trial(other)
    await sender().send()
    assert sink.seen == []
    assert (await found())[notice].error == "decryption_failed"


async def test_mail_is_sent_by_the_operators_server(sender: Any, routed: Any, trial: Any, found: Any) -> None:
    async with mail_server() as server:
        host = f"127.0.0.1:{server.port}"
        route, secret = await routed(f"mailto://{host}?from=genai@example.com&to=ops@example.com", kind="apprise")
        notice = await trial(route)
        assert secret is None
        assert await sender(mail_hosts=[host]).send() == 1
        (mail,) = server.mails
        assert "To: ops@example.com" in mail
        assert "this is a test" in mail
    assert (await found())[notice].state == DeliveryState.DELIVERED


async def test_a_mail_server_that_is_away_or_no_longer_named_is_told_so(
    sender: Any, routed: Any, trial: Any, found: Any, unused_tcp_port: int
) -> None:
    host = f"127.0.0.1:{unused_tcp_port}"
    route, _ = await routed(f"mailto://{host}?from=genai@example.com&to=ops@example.com", kind="apprise")
    notice = await trial(route)
    await sender(mail_hosts=[host]).send()
    assert (await found())[notice].error == "not_taken"
    other, _ = await routed(f"mailto://{host}?from=genai@example.com&to=ops@example.com", kind="apprise")
    refused = await trial(other)
    await sender().send()
    assert (await found())[refused].error == "invalid_alert_route"


async def test_what_is_long_over_goes(
    database: Database, sink: Sink, sender: Any, routed: Any, trial: Any, found: Any, pass_time: Any
) -> None:
    route, _ = await routed(sink.url)
    notice = await trial(route)
    notices = sender(kept_days=1)
    now = utc_now()
    told = {"kind": "latency", "severity": "warning", "first_seen": now, "last_seen": now, "told_at": now}
    async with database.transaction(all_tenants=True) as session:
        long_ago = now - timedelta(days=2)
        session.add(AlertRow(id="over", key="a", state="resolved", resolved_at=long_ago, **told))
        session.add(AlertRow(id="just", key="b", state="resolved", resolved_at=now, **told))
        session.add(AlertRow(id="firing", key="c", **told))
    await notices.send()
    await notices.tidy()
    assert list(await found()) == [notice]
    await pass_time(days=2)
    await sender(kept_days=1).tidy()
    assert await found() == {}
    async with database.session(all_tenants=True) as session:
        assert set((await session.exec(select(AlertRow.id))).all()) == {"just", "firing"}
