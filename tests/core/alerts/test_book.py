"""The book: of all processes one tells, once a window, and nothing is lost while the database is away."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import col, select, update
from structlog.testing import capture_logs

from core.alerts import Alert, AlertKind, Alerts
from core.alerts.book import Book
from core.database import Database, utc_now
from core.settings import Settings
from core.tables import AlertDelivery, AlertRoute, AlertRow, Budget, ProviderCredential
from tests.desks import eventually

OUTAGE, USED = AlertKind.PROVIDER_OUTAGE, AlertKind.BUDGET_USED


class Process:
    """The alerts and the book of a process."""

    def __init__(self, settings: Settings) -> None:
        self.told: list[Alert] = []
        self.alerts = Alerts()
        self.alerts.book = self.book = Book(settings, self.told.append)

    def raise_(self, kind: AlertKind = OUTAGE, key: str = "openai/m", **facts: Any) -> None:
        self.alerts.raise_(kind, key=key, **facts)
        self.book.settle()

    def recover(self, kind: AlertKind = OUTAGE, key: str = "openai/m", **facts: Any) -> None:
        self.alerts.recover(kind, key=key, **facts)
        self.book.settle()

    @property
    def said(self) -> list[bool]:
        return [alert.recovered for alert in self.told]


@pytest.fixture
async def start(database: Database) -> AsyncIterator[Callable[..., Process]]:
    started: list[Process] = []

    def one(**alerts: Any) -> Process:
        settings = database._settings.model_copy(update={"alerts": database._settings.alerts.model_copy(update=alerts)})
        started.append(Process(settings))
        return started[-1]

    yield one
    for process in started:
        await asyncio.to_thread(process.book.close)


@pytest.fixture
def add(database: Database) -> Callable[..., Any]:
    async def rows(*each: Any) -> None:
        async with database.transaction(all_tenants=True) as session:
            session.add_all(each)

    return rows


@pytest.fixture
def read(database: Database) -> Callable[..., Any]:
    async def rows(model: Any) -> list[Any]:
        async with database.session(all_tenants=True) as session:
            return list((await session.exec(select(model).order_by(model.id))).all())

    return rows


def route(tenant: str = "default", *, platform: bool = True, **more: Any) -> AlertRoute:
    told = {"name": "r", "kind": "webhook", "least": "info", "created_by": "x"}
    return AlertRoute(tenant=tenant, platform=platform, **(told | more))


async def notices(read: Any) -> list[str]:
    rows = await read(AlertDelivery)
    return [row.body["type"] for row in sorted(rows, key=lambda row: row.created_at)]


async def test_two_processes_tell_once_and_once_that_it_is_over(start: Any, add: Any, read: Any) -> None:
    await add(route())
    one, other = start(), start()
    for process in (one, other):
        process.raise_(provider="openai", model="m")
    for process in (other, one):
        process.recover()
    assert (one.said, other.said) == ([False], [True])
    assert await notices(read) == ["alert.raised", "alert.recovered"]
    (row,) = await read(AlertRow)
    assert (row.state, row.count, row.subject) == ("resolved", 2, {"provider": "openai", "model": "m"})


async def test_a_restart_within_the_window_tells_nothing_again(start: Any, add: Any, read: Any) -> None:
    await add(route())
    start().raise_()
    restarted = start()
    restarted.raise_()
    assert restarted.said == []
    assert await notices(read) == ["alert.raised"]


async def test_what_goes_on_is_told_again_in_the_next_window(start: Any, read: Any) -> None:
    start().raise_()
    late = start(window_s=1e-6)
    late.raise_()
    assert late.said == [False]
    (row,) = await read(AlertRow)
    assert (row.state, row.count) == ("firing", 2)


async def test_what_flaps_within_a_window_is_told_once_and_known_to_fire(start: Any, add: Any, read: Any) -> None:
    await add(route())
    process = start()
    for _ in range(3):
        process.raise_()
        process.recover()
    process.raise_()
    assert process.said == [False, True]
    (row,) = await read(AlertRow)
    assert row.state == "firing"
    assert await notices(read) == ["alert.raised", "alert.recovered"]


async def test_two_processes_at_once_tell_once(start: Any) -> None:
    processes = [start() for _ in range(4)]
    await asyncio.gather(*(asyncio.to_thread(process.raise_) for process in processes))
    assert sorted(len(process.told) for process in processes) == [0, 0, 0, 1]


_OTHER = """
from core.alerts import AlertKind, Alerts
from core.alerts.book import Book
from core.settings import Settings

alerts = Alerts()
alerts.book = book = Book(Settings.load(), alerts.tell)
alerts.raise_(AlertKind.PROVIDER_OUTAGE, key="openai/m")
book.close()
"""


async def test_another_process_of_the_machine_knows_what_was_told(database: Database, start: Any, read: Any) -> None:
    settings = database._settings
    where = {"GENAI_DATA_DIR": str(settings.data_dir), "PATH": "/usr/bin:/bin"}
    if settings.database_url:
        where["GENAI_DATABASE_URL"] = settings.database_url
    command = [sys.executable, "-c", _OTHER]
    ran = await asyncio.to_thread(subprocess.run, command, env=where, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.count("alert.raised") == 1
    here = start()
    here.raise_()
    assert here.said == []
    (row,) = await read(AlertRow)
    assert row.count == 2


async def test_a_calendar_budget_is_told_of_once_in_each_of_its_windows(
    database: Database, start: Any, add: Any, read: Any
) -> None:
    await add(Budget(id="bud_1", tenant="acme", window="day", limit_tokens=1, created_by="x"), route("acme", platform=False))
    process = start(window_s=1e-6)
    for _ in range(2):
        process.raise_(USED, "bud_1:50%", tenant="acme", budget="bud_1", share=0.5)
    assert process.said == [False], "not again an hour later"
    async with database.transaction(all_tenants=True) as session:
        yesterday = update(AlertRow).values(key="bud_1:50%@2026-01-01")
        await session.exec(yesterday)
    start().raise_(USED, "bud_1:50%", tenant="acme", budget="bud_1", share=0.5)
    assert await notices(read) == ["alert.raised", "alert.raised"]


async def test_notices_go_to_the_routes_of_the_tenant_for_the_kind_and_severity(start: Any, add: Any, read: Any) -> None:
    await add(
        route("acme", platform=False, id="all"),
        route("acme", platform=False, id="kinds", kinds=["latency"]),
        route("acme", platform=False, id="worst", least="critical"),
        route("acme", platform=False, id="off", enabled=False),
        route("globex", platform=False, id="other"),
        route("default", platform=False, id="default"),
        route(id="operator"),
    )
    process = start()
    process.raise_(AlertKind.SPEND_SPIKE, "acme", tenant="acme", spent_usd=3.5)
    assert {row.route_id for row in await read(AlertDelivery)} == {"all"}
    process.raise_(OUTAGE, "openai/m")
    assert {row.route_id for row in await read(AlertDelivery)} == {"all", "operator"}


async def test_trouble_with_a_credential_of_a_tenant_is_the_tenants(start: Any, add: Any, read: Any) -> None:
    own = ProviderCredential(id="cred_a", tenant="acme", provider="openai", name="a", created_by="x")
    everybodys = ProviderCredential(id="cred_b", tenant="acme", provider="openai", name="b", created_by="x", everywhere=True)
    await add(own, everybodys)
    process = start()
    process.raise_(OUTAGE, "openai/m@cred_a.1")
    process.raise_(OUTAGE, "openai/m@cred_b.1")
    assert {(row.key, row.tenant, row.platform) for row in await read(AlertRow)} == {
        ("openai/m@cred_a.1", "acme", False),
        ("openai/m@cred_b.1", "default", True),
    }


async def test_a_storm_is_bounded_and_says_so_afterwards(database: Database, start: Any, add: Any, read: Any) -> None:
    await add(route(id="r"))
    process = start(storm=2)
    for number in range(5):
        process.raise_(key=f"openai/{number}")
    assert len(await read(AlertDelivery)) == 2
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(AlertDelivery).values(created_at=utc_now() - timedelta(hours=1)))
    process.raise_(key="openai/last")
    rows = sorted(await read(AlertDelivery), key=lambda row: row.created_at)
    assert rows[-1].body["withheld"] == 3
    assert (await read(AlertRoute))[0].withheld == 0


async def test_while_the_database_is_away_it_is_told_at_once_and_notices_follow(
    database: Database, start: Any, add: Any, read: Any
) -> None:
    await add(route())
    async with database.transaction(all_tenants=True) as session:
        await (await session.connection()).execute(text("ALTER TABLE alerts RENAME TO away"))
    process = start()
    with capture_logs() as lines:
        process.alerts.raise_(OUTAGE, key="openai/m")
        await eventually(lambda: asyncio.sleep(0, process.said == [False]))
        process.alerts.recover(OUTAGE, key="openai/m")
        process.alerts.raise_(OUTAGE, key="openai/other")
        await eventually(lambda: asyncio.sleep(0, len(process.said) == 3))
    assert "alerts.database_away" in {line["event"] for line in lines}
    async with database.transaction(all_tenants=True) as session:
        await (await session.connection()).execute(text("ALTER TABLE away RENAME TO alerts"))
    await eventually(lambda: read(AlertRow))
    await asyncio.to_thread(process.book.settle)
    by_alert = [(row.body["alert"]["key"], row.body["type"]) for row in await read(AlertDelivery)]
    assert sorted(by_alert) == [
        ("openai/m", "alert.raised"),
        ("openai/m", "alert.recovered"),
        ("openai/other", "alert.raised"),
    ]
    states = {row.key: row.state for row in await read(AlertRow)}
    assert states == {"openai/m": "resolved", "openai/other": "firing"}
    assert len(process.said) == 3, "it was told already"


async def test_a_burst_is_remembered_by_alert_and_not_by_time(start: Any, read: Any) -> None:
    process = start()
    for _ in range(1000):
        process.alerts.book.put(Alert(OUTAGE, "openai/m", recovered=False, facts={}))
    process.book.settle()
    (row,) = await read(AlertRow)
    assert row.count == 1000
    assert process.said == [False]


async def test_what_is_over_before_it_was_written_is_told_as_well(start: Any, read: Any) -> None:
    process = start()
    with process.book._changed:
        process.book.put(Alert(OUTAGE, "a", recovered=False, facts={}))
        process.book.put(Alert(OUTAGE, "a", recovered=True, facts={}))
    process.book.settle()
    assert process.said == [False, True]
    assert [row.state for row in await read(AlertRow)] == ["resolved"]


async def test_facts_of_any_kind_are_kept(database: Database, start: Any) -> None:
    start().raise_(at=utc_now(), none=None, number=1.5)
    async with database.session(all_tenants=True) as session:
        facts = (await session.exec(select(col(AlertRow.facts)))).one()
    assert facts["number"] == 1.5
    assert facts["none"] == "None"
