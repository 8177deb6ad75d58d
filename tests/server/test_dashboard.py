"""The dashboard by REST, as a stream of events and as a page: who sees what, and that one look is enough for all."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from core.alerts import AlertKind
from core.database import Database, utc_now
from core.ledger import minutes as ledger_minutes
from core.ledger.minutes import Minute
from core.principals import Role
from core.settings import Settings
from core.tables import AlertRow, Budget, LedgerRow, MonitorAnomaly
from server.dashboard import hour as hours
from server.dashboard.hour import Hour
from server.dashboard.watching import Watching
from server.routes import dashboard, dashboard_page
from tests.server.administration import OWN_SITE, api, key_of, sign_in, with_pages
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.test_analytics import entry
from tests.server.test_job_events import listening


@pytest.fixture
def here(guarded: Guarded, settings: Settings) -> Guarded:
    for module in (dashboard, dashboard_page):
        guarded.app.include_router(module.router)
    return with_pages(guarded, settings)


async def put(database: Database, *rows: Any) -> None:
    async with database.transaction(all_tenants=True) as session:
        session.add_all(rows)


def call(request: str = "req_1", **more: Any) -> LedgerRow:
    return LedgerRow(**entry(request, **({"at": utc_now()} | more)).row())


async def told(here: Guarded, query: str = "", *, key: str | None = None) -> dict[str, Any]:
    answer = await api(here, "GET", f"/dashboard{query}", key=key)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_the_board_tells_the_last_hour_of_the_tenant_alone(here: Guarded, database: Database) -> None:
    await put(
        database,
        call("req_1"),
        call("req_2", status="timeout", cost_usd=Decimal(0)),
        call("req_3", cache="hit", cost_usd=Decimal(0)),
        call("req_4", at=utc_now() - timedelta(minutes=30), provider="azure", cost_usd=Decimal("0.5")),
        call("req_5", at=utc_now() - timedelta(hours=3), provider="old"),
        call("req_6", tenant="acme", alias="theirs", provider="secret"),
    )
    board = await told(here)
    assert board["tenant"] == "default"
    series = board["minutes"]
    assert {len(values) for name, values in series.items() if name != "cost_usd"} == {60}
    assert (sum(series["answered"]), sum(series["failed"]), sum(series["cached"])) == (2, 1, 1)
    assert list(series["cost_usd"]) == ["azure", "openai"]
    assert board["now"]["calls_a_minute"] == 0.6
    assert board["now"]["failed_share"] == 0.5
    assert board["now"]["latency_p50_ms"] == pytest.approx(100, rel=0.26)
    assert board["now"]["cost_hour_usd"] == pytest.approx(0.52)
    assert [one["alias"] for one in board["aliases"]] == ["default"]
    assert "secret" not in json.dumps(board)


async def test_other_tenants_are_for_who_manages_them(here: Guarded, database: Database) -> None:
    theirs = await key_of(here, tenant="acme")
    await put(database, call("req_1"), call("req_2", tenant="acme", provider="theirs"))
    assert sum((await told(here, "?tenant=acme"))["minutes"]["answered"]) == 1
    everybody = await told(here, "?tenant=*")
    assert (everybody["tenant"], sum(everybody["minutes"]["answered"])) == (None, 2)
    assert list((await told(here, key=theirs))["minutes"]["cost_usd"]) == ["theirs"]
    for query in ("?tenant=default", "?tenant=*"):
        assert (await api(here, "GET", f"/dashboard{query}", key=theirs)).status_code == 403
    missing = await api(here, "GET", "/dashboard?tenant=nobody")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "tenant_not_found")
    assert (await api(here, "GET", "/dashboard", key=await key_of(here, Role.USER))).status_code == 403


@ON_SQLITE
async def test_each_sees_of_it_what_they_may(here: Guarded, database: Database) -> None:
    alert = {"key": "k", "first_seen": utc_now(), "last_seen": utc_now(), "told_at": utc_now(), "severity": "warning"}
    await put(
        database,
        call(cost_usd=Decimal(3)),
        Budget(tenant="default", name="ours", limit_usd=Decimal(4), window="month", created_by="x"),
        Budget(tenant="default", name="of Ada", user="usr_1", limit_tokens=1_000_000, window="30d", created_by="x"),
        AlertRow(tenant="default", kind=AlertKind.LATENCY.value, **alert),
        AlertRow(tenant="default", kind=AlertKind.LATENCY.value, state="resolved", **(alert | {"key": "over"})),
    )
    whole = await told(here)
    assert [(one["name"], one["unit"]) for one in whole["budgets"]] == [("ours", "usd"), ("of Ada", "tokens")]
    assert (whole["budgets"][0]["spent"], whole["budgets"][0]["limit"]) == (3, 4)
    assert 0 < whole["budgets"][0]["elapsed"] <= 1
    assert whole["budgets"][1]["elapsed"] is None
    assert [one["kind"] for one in whole["alerts"]] == ["latency"]
    assert {one["model"] for one in whole["providers"]} == {"SmolLM2-135M-Instruct", "all-MiniLM-L6-v2"}
    analyst = await told(here, key=await key_of(here, Role.ANALYST))
    assert [(one["name"], one["unit"]) for one in analyst["budgets"]] == [("", "usd")]
    assert analyst["alerts"] == []
    assert analyst["providers"]


@ON_SQLITE
async def test_anomalies_are_marked_on_the_series_that_they_are_of(here: Guarded, database: Database) -> None:
    seen = {"tenant": "default", "series": "s", "alias": "default", "provider": "azure", "model": "m", "kind": "step"}
    seen |= {"seen_at": utc_now(), "before": 200.0, "after": 900.0, "sigmas": 6.0}
    cause = {"blamed": "provider", "why": "the others do well"}
    hour = {"since": utc_now() - timedelta(minutes=10)}
    await put(
        database,
        MonitorAnomaly(id="new", metric="latency_ms", state="open", worse=True, cause=cause, **seen, **hour),
        MonitorAnomaly(id="old", metric="tokens", state="open", since=utc_now() - timedelta(days=2), **seen),
        MonitorAnomaly(id="over", metric="tokens", state="back", since=utc_now() - timedelta(days=2), **seen),
        MonitorAnomaly(id="theirs", metric="cost_usd", state="open", **(seen | {"tenant": "acme"}), **hour),
    )
    board = await told(here)
    assert [(one["metric"], one["minute"] in board["minutes"]["at"]) for one in board["anomalies"]] == [
        ("latency_ms", True),
        ("tokens", False),
    ]
    assert (board["anomalies"][0]["unit"], board["anomalies"][0]["cause"]) == ("ms", "provider: the others do well")
    await sign_in(here)
    page = (await here.client.get("/dashboard", headers=OWN_SITE)).text
    marked = "default at azure m: latency step, 200 ms to 900 ms (provider: the others do well)"
    latency = page.partition('id="latency"')[2].partition("</figure>")[0]
    assert f'<td data-label="Anomalies">{marked}</td>' in latency
    assert "Anomalies" not in page.partition('id="tokens"')[2].partition("</figure>")[0]


@ON_SQLITE
async def test_an_alert_of_a_degradation_tells_its_cause_and_when_the_change_began(here: Guarded, database: Database) -> None:
    told_at: dict[str, Any] = {name: utc_now() for name in ("first_seen", "last_seen", "told_at")} | {"severity": "warning"}
    subject = {"provider": "azure", "model": "m", "metric": "error_rate", "budget": "bud_1"}
    facts = {"cause": "deployment", "why": "the others do well", "since": "2026-03-05T16:33Z"}
    await put(
        database,
        AlertRow(tenant="default", kind="degradation", key="k", subject=subject, facts=facts, **told_at),
        AlertRow(tenant="default", kind="drift", key="k", subject={"collection": "col_1"}, facts={"since": "x"}, **told_at),
        Budget(id="bud_1", tenant="default", name="ours", limit_usd=Decimal(4), window="month", created_by="x"),
    )
    alerts = {one["kind"]: one for one in (await told(here))["alerts"]}
    assert (alerts["degradation"]["cause"], alerts["drift"]["cause"]) == ("deployment: the others do well", "")
    assert alerts["degradation"]["since"] == "2026-03-05T16:33:00Z"
    await sign_in(here)
    page = (await here.client.get("/dashboard", headers=OWN_SITE)).text
    assert "<span>azure · m · failures · ours (deployment: the others do well)</span>" in page
    assert "since 2026-03-05 16:33" in re.sub("<[^>]*>", "", page)


async def boards(stream: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    name = ""
    async for line in stream.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        if line.startswith("data: "):
            yield {"event": name} | json.loads(line.removeprefix("data: "))


@ON_SQLITE
async def test_events_follow_what_happens_and_end_with_the_server(here: Guarded, database: Database) -> None:
    readiness = here.app.state.platform.readiness
    shown = {"x-api-key": here.key, "accept": "text/event-stream"}
    async with listening(here) as client, client.stream("GET", "/api/v1/dashboard", headers=shown) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = boards(stream)
        first = await anext(events)
        assert (first["event"], sum(first["minutes"]["answered"])) == ("board", 0)
        await put(database, call())
        while sum((await anext(events))["minutes"]["answered"]) == 0:
            pass
        readiness.leaving = lambda: True
        assert [each async for each in events if each["event"] != "board"] == []


@ON_SQLITE
async def test_events_end_with_the_right_to_them(here: Guarded) -> None:
    made = (await api(here, "POST", "/keys", {"name": "x", "role": "analyst"})).json()
    shown = {"x-api-key": made["key"], "accept": "text/event-stream"}
    async with listening(here) as client, client.stream("GET", "/api/v1/dashboard", headers=shown) as stream:
        events = boards(stream)
        assert (await anext(events))["event"] == "board"
        await api(here, "DELETE", f"/keys/{made['id']}")
        (*_, last) = [each async for each in events]
    assert (last["event"], last["error"]["code"]) == ("error", "invalid_key")


@ON_SQLITE
async def test_one_look_is_enough_for_all_who_watch(here: Guarded, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    async def counted(*asked: Any) -> Any:
        looks.append(asked[1])
        return await ledger_minutes.minutes(*asked)

    monkeypatch.setattr(hours, "minutes", counted)
    monkeypatch.setattr("server.dashboard.watching.LOOK_S", 3600.0)
    budgets, watching = here.app.state.platform.models.budgets, Watching(database)
    seen = await asyncio.gather(*(watching.look("default", budgets) for _ in range(20)), watching.look("acme", budgets))
    assert sorted(looks) == ["acme", "default"]
    assert {id(each) for each in seen[:20]} == {id(seen[0])}


@ON_SQLITE
async def test_only_the_last_minutes_are_read_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    since, answers = [], [{"2026-03-01T11:58Z": Minute(), "2026-03-01T11:59Z": Minute()}, {"2026-03-01T12:00Z": Minute()}]

    async def read(_database: Database, _tenant: str | None, begin: Any) -> Any:
        since.append(begin.strftime("%H:%M"))
        return answers.pop(0) if answers else {}

    monkeypatch.setattr(hours, "minutes", read)
    hour, noon = Hour("default"), entry().at
    for seconds in (0, 1, 2, 60):
        await hour.read(database, noon + timedelta(seconds=seconds))
    assert since == ["11:01", "11:59", "11:59", "11:02"]


async def test_the_page_tells_the_same_without_a_script(here: Guarded, database: Database) -> None:
    await put(database, call("req_1", alias="<i>it</i>"), call("req_2", tenant="acme", alias="theirs"))
    await sign_in(here)
    page = (await here.client.get("/dashboard", headers=OWN_SITE)).text
    assert "&lt;i&gt;it&lt;/i&gt;" in page
    assert "<i>it</i>" not in page
    assert "theirs" not in page
    assert 'data-stream="/api/v1/dashboard"' in page
    assert "style=" not in page
    assert '<option value="acme"' not in page
    everybody = (await here.client.get("/dashboard?tenant=*", headers=OWN_SITE)).text
    assert "theirs" in everybody
    assert 'data-stream="/api/v1/dashboard?tenant=%2A"' in everybody
    await sign_in(here, await key_of(here, Role.USER))
    assert (await here.client.get("/dashboard", headers=OWN_SITE)).status_code == 403
