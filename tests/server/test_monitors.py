"""Monitors over REST: a deployment gets slow, its series shows it, and the alert names provider and version."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from core import alerts
from core.alerts.book import Book
from core.budgets import Budgets
from core.database import Database, utc_now
from core.ledger.rollups import roll_up
from core.principals import SYSTEM, Role
from core.tables import Collection, CollectionShare, MonitorSketch, ShareKind, Tenant
from jobs.alert_monitor import AlertMonitor
from retrievers.sketches import CLASSES, DIRECTIONS
from server.access.keys import KeyRights
from server.routes import alerts as alert_list
from server.routes import monitors
from tests.evals.monitors.watched import FIRST, OTHER, POINT, SECOND, Watched, slower_since, usual
from tests.server.conftest import Guarded

MONITORS = "/api/v1/monitors"


class Desk:
    def __init__(self, guarded: Guarded, keys: dict[str, str]) -> None:
        self._client, self._keys = guarded.client, keys

    async def get(self, path: str, *, who: str = "operator", **params: Any) -> httpx.Response:
        return await self._client.get(path, headers={"authorization": f"Bearer {self._keys[who]}"}, params=params)

    async def results(self, path: str, *, who: str = "operator", **params: Any) -> list[dict[str, Any]]:
        answer = await self.get(path, who=who, **params)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["results"]
        return found


@pytest.fixture
async def desk(guarded: Guarded, database: Database) -> Desk:
    for module in (monitors, alert_list):
        guarded.app.include_router(module.router)
    async with database.transaction(all_tenants=True) as session:
        session.add_all([Tenant(id=name, name=name) for name in ("acme", "globex")])
    keys = {"operator": guarded.key}
    for who, tenant, role in (("acme", "acme", Role.ANALYST), ("globex", "globex", Role.ANALYST), ("user", "acme", Role.USER)):
        _, keys[who] = await guarded.access.keys.create(replace(SYSTEM, tenant=tenant), who, KeyRights(role))
    return Desk(guarded, keys)


@pytest.fixture
async def watched(database: Database) -> Watched:
    """One version is slow at one provider for two hours."""
    made = Watched(database)
    await made.call({FIRST: usual, SECOND: slower_since(24), OTHER: usual})
    await made.watch.catch_up(made.now)
    return made


@pytest.fixture
async def looked(database: Database, watched: Watched) -> AsyncIterator[AlertMonitor]:
    """The alerts of a process, whose monitors look at it."""
    book = await asyncio.to_thread(Book, watched.settings, alerts.alerts().tell)
    alerts.connect(book)
    alerts.alerts()._seen.clear()
    budgets = Budgets(watched.settings)
    library = SimpleNamespace(resources=SimpleNamespace(models=SimpleNamespace(budgets=budgets)))
    context: Any = SimpleNamespace(database=database, settings=watched.settings, library=library)
    yield AlertMonitor(context)
    alerts.connect(None)
    alerts.alerts()._seen.clear()
    await asyncio.to_thread(book.close)
    await asyncio.to_thread(budgets.close)


async def test_a_slow_version_is_marked_on_its_series_and_named_in_an_alert_that_ends(
    desk: Desk, watched: Watched, looked: AlertMonitor
) -> None:
    await looked.look()
    await alerts.alerts().settled()
    (alert,) = await desk.results("/api/v1/alerts", kind="degradation")
    facts = alert["facts"]
    assert (alert["state"], alert["platform"], alert["severity"]) == ("firing", True, "warning")
    assert (facts["provider"], facts["version"], facts["cause"]) == ("openai", "v2", "version")
    assert alert["subject"]["version"] == "v2"
    series = await desk.results(f"{MONITORS}/series", alias="default", metric="latency_ms", all_tenants=True)
    assert [(each["provider"], each["version"], len(each["anomalies"])) for each in series] == [
        ("azure", "v1", 0),
        ("openai", "v1", 0),
        ("openai", "v2", 1),
    ]
    (marked,) = series[2]["anomalies"]
    assert (marked["state"], marked["worse"], marked["unit"], marked["cause"]["blamed"]) == ("open", True, "ms", "version")
    assert 250 <= len(series[2]["points"]) <= 289
    assert series[2]["points"][-1]["value"] > 1.8 * series[1]["points"][-1]["value"]
    watched.now += 60 * POINT  # well again, five hours later
    await watched.call({FIRST: usual, SECOND: usual, OTHER: usual}, points=60)
    await watched.watch.catch_up(watched.now)
    await looked.look()
    await alerts.alerts().settled()
    (alert,) = await desk.results("/api/v1/alerts", kind="degradation")
    assert alert["state"] == "resolved"


async def test_each_tenant_sees_its_own_calls_and_the_operator_all(desk: Desk, watched: Watched, database: Database) -> None:
    await roll_up(database)
    (found,) = await desk.results(f"{MONITORS}/anomalies", who="acme", state="open", worse=True)
    assert (found["version"], found["cause"]) == ("v2", {})
    assert len(await desk.results(f"{MONITORS}/series", who="acme")) == 3
    assert len(await desk.results(f"{MONITORS}/series", who="acme", version="v2")) == 1
    for path in ("anomalies", "series", "drift"):
        assert await desk.results(f"{MONITORS}/{path}", who="globex") == []
        assert (await desk.get(f"{MONITORS}/{path}", who="globex", all_tenants=True)).status_code == 403
        assert (await desk.get(f"{MONITORS}/{path}", who="user")).status_code == 403
    used = (await desk.get(f"{MONITORS}/patterns", who="acme")).json()
    assert sum(map(sum, used["week"])) == 3600 == used["capabilities"][0]["calls"]
    assert [each["name"] for each in used["tenants"]] == ["acme"]
    nothing = (await desk.get(f"{MONITORS}/patterns", who="globex")).json()
    assert nothing["capabilities"] == nothing["tenants"] == nothing["topics"] == []


async def test_nobody_is_told_of_collections_that_they_may_not_search(desk: Desk, database: Database) -> None:
    now = utc_now().replace(minute=0, second=0, microsecond=0)
    counts = {"topics": [1] + [0] * (DIRECTIONS - 1), "nearness": [1] + [0] * (CLASSES - 1)}
    async with database.transaction(all_tenants=True) as session:
        for name, owner in (("shared", "somebody"), ("private", "somebody")):
            session.add(Collection(id=f"col_{name}", tenant="acme", name=name, owner=owner))
            session.add(MonitorSketch(tenant="acme", collection_id=f"col_{name}", model="m", at=now, questions=1, **counts))
        await session.flush()
        session.add(CollectionShare(collection_id="col_shared", kind=ShareKind.ROLE.value, subject=Role.ANALYST.value))
    assert {each["collection_id"] for each in await desk.results(f"{MONITORS}/drift", who="acme")} == {"col_shared"}
    until = (now + timedelta(hours=1)).isoformat()
    used = (await desk.get(f"{MONITORS}/patterns", who="acme", to=until)).json()
    assert [each["collection_id"] for each in used["topics"]] == ["col_shared"]
    everywhere = await desk.results(f"{MONITORS}/drift", all_tenants=True)
    assert {each["collection_id"] for each in everywhere} == {"col_shared", "col_private"}


async def test_lists_are_paged_and_too_long_a_time_is_refused(desk: Desk, watched: Watched) -> None:
    first = (await desk.get(f"{MONITORS}/series", who="acme", limit=2)).json()
    rest = (await desk.get(f"{MONITORS}/series", who="acme", limit=2, cursor=first["next_cursor"])).json()
    assert (len(first["results"]), len(rest["results"]), rest["next_cursor"]) == (2, 1, None)
    answer = await desk.get(f"{MONITORS}/series", **{"from": "2025-01-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_range")
    found = (await desk.get(f"{MONITORS}/anomalies", who="acme", limit=1)).json()
    assert len(found["results"]) == 1
