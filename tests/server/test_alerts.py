"""Alerts and their routes over REST, and one whole way: a budget is used, and the receiver learns of it once."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import select

from core import audit
from core.alerts import AlertKind, Alerts
from core.alerts.book import Book
from core.database import Database, utc_now
from core.principals import SYSTEM, Role
from core.tables import AlertRoute, AlertRow, AuditEvent, Tenant
from jobs.alert_notices import Notices
from server.access.keys import KeyRights
from server.routes import alert_routes, alerts
from tests.jobs.sinks import webhook
from tests.server.conftest import Guarded

ALERTS, ROUTES = "/api/v1/alerts", "/api/v1/alert-routes"
HOOK = {"name": "on call", "kind": "webhook", "url": "https://hooks.example.com/in?token=hidden-token"}


class Desk:
    """Callers of two tenants, and one of the operator's tenant who is no operator."""

    def __init__(self, guarded: Guarded, keys: dict[str, str]) -> None:
        self._client, self._keys = guarded.client, keys

    async def call(self, method: str, path: str, *, who: str = "operator", **options: Any) -> httpx.Response:
        return await self._client.request(method, path, headers={"authorization": f"Bearer {self._keys[who]}"}, **options)

    async def make(self, *, who: str = "operator", **more: Any) -> dict[str, Any]:
        answer = await self.call("POST", ROUTES, who=who, json=HOOK | more)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made


@pytest.fixture
async def desk(guarded: Guarded, database: Database) -> Desk:
    for module in (alerts, alert_routes):
        guarded.app.include_router(module.router)
    settings = database._settings.model_copy(
        update={"alerts": database._settings.alerts.model_validate({"private_networks": ["127.0.0.0/8"], "timeout_s": 5})}
    )
    guarded.app.state.platform = replace(guarded.app.state.platform, settings=settings)
    async with database.transaction(all_tenants=True) as session:
        session.add(Tenant(id="acme", name="acme"))
    keys = {"operator": guarded.key}
    for who, tenant, role in (("acme", "acme", Role.ADMIN), ("developer", "default", Role.DEVELOPER)):
        _, keys[who] = await guarded.access.keys.create(replace(SYSTEM, tenant=tenant), who, KeyRights(role))
    return Desk(guarded, keys)


@pytest.fixture
async def raised(database: Database) -> AsyncIterator[Alerts]:
    """The alerts of a process."""
    made = Alerts()
    made.book = book = Book(database._settings, made.tell)
    yield made
    await asyncio.to_thread(book.close)


@pytest.fixture
def notices(database: Database, desk: Desk, guarded: Guarded) -> Notices:
    return Notices(database, guarded.app.state.platform.settings)


async def test_a_route_is_made_shown_changed_and_removed_and_never_shows_its_address(desk: Desk, database: Database) -> None:
    made = await desk.make(kinds=["latency", "budget_used"], severity="warning")
    assert made["secret"].startswith("whsec_")
    assert made["target"] == "https://hooks.example.com/…"
    path = f"{ROUTES}/{made['id']}"
    shown = await desk.call("GET", path)
    assert shown.json() == {name: value for name, value in made.items() if name != "secret"}
    assert shown.json()["kinds"] == ["budget_used", "latency"]
    changed = await desk.call("PATCH", path, json={"kinds": None, "url": "https://other.example.com/x/hidden-token"})
    assert (changed.json()["kinds"], changed.json()["target"]) == (None, "https://other.example.com/…")
    assert changed.json()["secret"] is None
    renewed = await desk.call("PATCH", path, json={"new_secret": True})
    assert renewed.json()["secret"] not in (None, made["secret"])
    listed = await desk.call("GET", ROUTES)
    assert [each["id"] for each in listed.json()["results"]] == [made["id"]]
    for answer in (shown, changed, renewed, listed):
        assert "hidden-token" not in answer.text
    async with database.session(all_tenants=True) as session:
        (row,) = (await session.exec(select(AlertRoute))).all()
    assert "hidden-token" not in str(row.target), "it is sealed"
    assert (await desk.call("DELETE", path)).status_code == 204
    assert (await desk.call("GET", path)).json()["error"]["code"] == "alert_route_not_found"


async def test_what_is_done_is_on_record_without_the_address(desk: Desk, database: Database) -> None:
    made = await desk.make()
    await desk.call("PATCH", f"{ROUTES}/{made['id']}", json={"enabled": False})
    await desk.call("POST", f"{ROUTES}/{made['id']}/test")
    await desk.call("DELETE", f"{ROUTES}/{made['id']}")
    async with database.session("default") as session:
        query = (
            select(AuditEvent).where(AuditEvent.action == audit.Action.ALERT_ROUTE_CHANGED.value).order_by(AuditEvent.number)
        )
        events = (await session.exec(query)).all()
    assert [event.details["change"] for event in events] == ["created", "changed", "tested", "removed"]
    assert "hidden-token" not in str(events)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"url": "http://10.0.0.1/"}, "invalid_alert_route"),
        ({"url": "https://10.0.0.1/"}, "url_refused"),
        ({"url": "https://0x7f.1/"}, "url_refused"),
        ({"url": "https://user:word@example.com/"}, "url_refused"),
        ({"url": "file:///etc/passwd"}, "url_refused"),
        ({"kind": "apprise"}, "invalid_alert_route"),
        ({"kind": "apprise", "url": "json://127.0.0.1/"}, "invalid_alert_route"),
        ({"kind": "pigeon"}, "invalid_request"),
        ({"kinds": []}, "invalid_request"),
        ({"kinds": ["weather"]}, "invalid_request"),
        ({"more": 1}, "invalid_request"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_a_route_that_cannot_be_is_refused(desk: Desk, more: dict[str, Any], code: str) -> None:
    answer = await desk.call("POST", ROUTES, json=HOOK | more)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == code


async def test_a_service_is_a_route_without_a_secret(desk: Desk) -> None:
    made = await desk.make(kind="apprise", url="slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ")
    assert (made["target"], made["secret"]) == ("slack://…", None)
    answer = await desk.call("PATCH", f"{ROUTES}/{made['id']}", json={"new_secret": True})
    assert answer.json()["error"]["code"] == "no_secret"


async def test_only_the_operator_sees_the_platforms(desk: Desk, raised: Alerts) -> None:
    await asyncio.to_thread(_raise_both, raised)
    seen = {}
    for who in ("operator", "acme"):
        seen[who] = {each["kind"] for each in (await desk.call("GET", ALERTS, who=who)).json()["results"]}
    assert seen == {"operator": {"provider_outage"}, "acme": {"spend_spike"}}
    assert (await desk.call("GET", ALERTS, who="developer")).status_code == 403
    refused = await desk.call("POST", ROUTES, who="acme", json=HOOK | {"platform": True})
    assert refused.status_code == 403
    made = await desk.make(platform=True)
    assert (await desk.call("GET", f"{ROUTES}/{made['id']}", who="acme")).status_code == 404


def _raise_both(raised: Alerts) -> None:
    raised.raise_(AlertKind.PROVIDER_OUTAGE, key="openai/m", provider="openai", model="m")
    raised.raise_(AlertKind.SPEND_SPIKE, key="acme", tenant="acme", spent_usd=3.0)
    assert raised.book is not None
    raised.book.settle()


async def test_alerts_are_paged_and_filtered(desk: Desk, database: Database) -> None:
    now = utc_now()
    async with database.transaction(all_tenants=True) as session:
        for number in range(5):
            at = now - timedelta(minutes=number // 2)
            told = dict.fromkeys(("first_seen", "last_seen", "told_at"), at)
            state = "resolved" if number == 4 else "firing"
            kind = "latency" if number % 2 else "error_rate"
            session.add(AlertRow(tenant="acme", kind=kind, key=f"k{number}", severity="warning", state=state, **told))

    async def keys(**query: Any) -> list[str]:
        found: list[str] = []
        while True:
            body = (await desk.call("GET", ALERTS, who="acme", params=query)).json()
            found += [each["key"] for each in body["results"]]
            if body["next_cursor"] is None:
                return found
            query["cursor"] = body["next_cursor"]

    every = await keys(limit=2)
    assert every == await keys()
    assert [sorted(every[:2]), sorted(every[2:4]), every[4:]] == [["k0", "k1"], ["k2", "k3"], ["k4"]]
    assert await keys(state="resolved") == ["k4"]
    assert set(await keys(kind="latency")) == {"k1", "k3"}
    assert await keys(severity="critical") == []
    (first,) = (await desk.call("GET", ALERTS, who="acme", params={"state": "resolved"})).json()["results"]
    assert (await desk.call("GET", f"{ALERTS}/{first['id']}", who="acme")).json() == first
    assert (await desk.call("GET", f"{ALERTS}/{first['id']}")).json()["error"]["code"] == "alert_not_found"


async def test_an_alert_reaches_its_route_and_a_test_does(desk: Desk, raised: Alerts, notices: Notices) -> None:
    async with webhook() as sink:
        made = await desk.make(who="acme", url=sink.url)
        await asyncio.to_thread(_raise_both, raised)
        raised.recover(AlertKind.SPEND_SPIKE, key="acme", tenant="acme")
        await raised.settled()
        trial = await desk.call("POST", f"{ROUTES}/{made['id']}/test", who="acme")
        assert trial.status_code == 202
        while await notices.send():
            pass
        assert [json.loads(body)["type"] for _, _, body in sink.seen] == ["alert.raised", "alert.recovered", "alert.test"]
        assert sink.all_signed(made["secret"])
        assert json.loads(sink.seen[0][2])["alert"]["facts"] == {"spent_usd": 3.0}
    listed = (await desk.call("GET", f"{ROUTES}/{made['id']}/notices", who="acme", params={"limit": 2})).json()
    assert [(each["type"], each["state"]) for each in listed["results"]] == [
        ("alert.test", "delivered"),
        ("alert.recovered", "delivered"),
    ]
    cursor = {"cursor": listed["next_cursor"]}
    rest = (await desk.call("GET", f"{ROUTES}/{made['id']}/notices", who="acme", params=cursor)).json()
    assert [each["type"] for each in rest["results"]] == ["alert.raised"]
    assert trial.json()["id"] == listed["results"][0]["id"]


async def test_a_tenant_has_so_many_routes_at_most(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.alerts.routes.MOST_ROUTES", 1)
    await desk.make()
    answer = await desk.call("POST", ROUTES, json=HOOK)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "too_many_alert_routes")
