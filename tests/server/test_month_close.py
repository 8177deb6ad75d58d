"""The month's close over REST: adjusting entries, closed months, invoices against the ledger, FOCUS."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlmodel import delete

from core.database import Database, utc_now
from core.ledger import TokenClasses
from core.ledger.rollups import roll_up
from core.principals import Role
from core.settings import Settings
from core.tables import Team, TeamMember, User
from server.routes import analytics, cost_centres, invoices, ledger_entries, month_close, usage
from tests.server.administration import api, key_of, with_pages
from tests.server.conftest import Guarded
from tests.server.test_analytics import entry, lines, put

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def here(guarded: Guarded, settings: Settings) -> Guarded:
    for module in (usage, analytics, ledger_entries, cost_centres, month_close, invoices):
        guarded.app.include_router(module.router)
    return with_pages(guarded, settings)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_an_adjusting_entry_counts_and_is_no_call(here: Guarded, database: Database) -> None:
    wrong = entry("req_1", tags={"team": "search"}, key_id="key_1")
    await put(database, wrong)
    answer = await api(here, "POST", "/usage/adjustments", {"cost_usd": "-0.005", "reason": "credit note", "entry": wrong.id})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["provider"], made["key_id"], made["tags"], made["corrects"]) == (
        "openai",
        "key_1",
        {"team": "search"},
        "2026-03",
    )
    for _ in range(2):
        (line,) = await lines(here, "group_by=tag:team,key_id")
        assert (line["cost_usd"], line["attempts"], line["requests"], line["failed"], line["cached"]) == (0.015, 1, 1, 0, 0)
        assert [line["cost_usd"] for line in await lines(here, f"from={NOON:%Y-%m-%dT%H:%M:%SZ}&to=2026-03-02T00:00:00Z")] == [
            0.02
        ]
        await roll_up(database)
    assert [one["id"] for one in (await api(here, "GET", "/usage/adjustments")).json()["results"]] == [made["id"]]
    (event,) = (await api(here, "GET", "/audit?action=ledger.adjusted")).json()["results"]
    assert (event["object_id"], event["details"]["cost_usd"]) == (made["id"], "-0.005")


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        ({"cost_usd": 0}, (422, "invalid_request")),
        ({"cost_usd": "1e30"}, (422, "invalid_request")),
        ({"corrects": "2026-13"}, (422, "invalid_request")),
        ({"corrects": f"{utc_now() + timedelta(days=32):%Y-%m}"}, (422, "invalid_corrects")),
        ({"corrects": f"{utc_now():%Y-%m}"}, (422, "invalid_corrects")),
        ({"corrects": "2026-02", "at": "2026-02-28T23:59:59Z"}, (422, "invalid_corrects")),
        ({"entry": "led_nobody"}, (404, "entry_not_found")),
        ({"at": (utc_now() + timedelta(days=1)).isoformat()}, (422, "invalid_request")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
async def test_what_is_no_adjusting_entry_is_refused(here: Guarded, wrong: dict[str, Any], refusal: tuple[int, str]) -> None:
    assert code(await api(here, "POST", "/usage/adjustments", {"cost_usd": 1, "reason": "x"} | wrong)) == refusal
    assert (await api(here, "GET", "/usage/adjustments")).json()["results"] == []


async def test_an_entry_says_itself_which_month_it_corrects(here: Guarded, database: Database) -> None:
    wrong = entry("req_1")
    await put(database, wrong)
    body = {"cost_usd": 1, "reason": "x", "entry": wrong.id}
    assert code(await api(here, "POST", "/usage/adjustments", body | {"corrects": "2026-02"})) == (422, "invalid_corrects")
    assert (await api(here, "POST", "/usage/adjustments", body | {"corrects": "2026-03"})).json()["corrects"] == "2026-03"


async def test_a_closed_month_takes_no_adjusting_entry_and_tells_what_came_late(here: Guarded, database: Database) -> None:
    await put(database, entry())
    body = {"cost_usd": 1, "reason": "forgotten", "at": "2026-03-31T23:59:59Z"}
    assert (await api(here, "POST", "/usage/adjustments", body)).status_code == 201
    closed = await api(here, "POST", "/usage/months/2026-03/close")
    assert closed.status_code == 200, closed.text
    assert (closed.json()["closed"]["cost_usd"], closed.json()["late_usd"]) == (1.02, 0)
    assert code(await api(here, "POST", "/usage/adjustments", body)) == (409, "month_closed")
    assert code(await api(here, "POST", "/usage/months/2026-03/close")) == (409, "month_closed")
    assert code(await api(here, "POST", f"/usage/months/{utc_now():%Y-%m}/close")) == (409, "month_open")
    assert code(await api(here, "POST", "/usage/months/2026-3/close")) == (422, "invalid_request")
    await put(database, entry("req_2", cost_usd=Decimal("0.5")))  # from a file, after the database was away
    standing = (await api(here, "GET", "/usage/months/2026-03")).json()
    assert (standing["closed"]["cost_usd"], standing["cost_usd"], standing["late_usd"]) == (1.02, 1.52, 0.5)
    assert (await api(here, "POST", "/usage/adjustments", body | {"at": "2026-04-01T00:00:00Z"})).status_code == 201
    assert (await api(here, "GET", "/usage/months/2026-02")).json()["closed"] is None
    assert [one["month"] for one in (await api(here, "GET", "/usage/months")).json()["results"]] == ["2026-03"]
    (event,) = (await api(here, "GET", "/audit?action=month.closed")).json()["results"]
    assert event["object_id"] == "2026-03"


INVOICE = """\ufeffDay, Model ,region,COST_USD
2026-03-01,small,eu,0.03
2026-03-01,small,us,$0.01
2026-03-01,other,eu,2
2026-03-02,exact,eu,0.02
2026-03-02,guessed,eu,0.05
2026-03-02,unknown,eu,1
"""


async def test_the_differences_of_an_invoice_are_explained(here: Guarded, database: Database) -> None:
    later = NOON + timedelta(days=1)
    await put(
        database,
        entry("req_1"),
        entry("req_2", model="exact", at=later),
        entry("req_3", model="guessed", at=later, estimated=True),
        entry("req_4", model="unknown", at=later, cost_usd=None),
        entry("req_5", model="free trial", at=later),
        entry("req_6", provider="bedrock", at=later),
        entry("req_7", at=later + timedelta(days=1)),
        entry("req_8", tenant="acme", cost_usd=Decimal("0.02")),
    )
    body = {"provider": "openai", "number": "2026-03", "csv": INVOICE}
    answer = await api(here, "POST", "/usage/invoices", body)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["begins"], answer.json()["ends"], answer.json()["cost_usd"]) == ("2026-03-01", "2026-03-02", 3.11)
    assert code(await api(here, "POST", "/usage/invoices", body)) == (409, "already_exists")
    path = f"/usage/invoices/{answer.json()['id']}"
    found = (await api(here, "GET", f"{path}/differences")).json()["results"]
    told = {(one["day"], one["model"]): (one["difference_usd"], one["reason"]) for one in found}
    assert told == {
        ("2026-03-01", "other"): (2, "not_in_ledger"),
        ("2026-03-01", "small"): (0.02, "price"),
        ("2026-03-02", "unknown"): (1, "unpriced"),
        ("2026-03-02", "guessed"): (0.03, "estimated"),
        ("2026-03-02", "free trial"): (-0.02, "not_invoiced"),
        ("2026-03-02", "exact"): (0, "equal"),
    }
    assert [one["model"] for one in found][:3] == ["other", "small", "unknown"]
    rows = list(csv.DictReader(io.StringIO((await api(here, "GET", f"{path}/differences?format=csv")).text)))
    assert (rows[1]["model"], rows[1]["difference_usd"]) == ("small", "0.02")
    everywhere = await api(here, "POST", "/usage/invoices", body | {"number": "all", "everywhere": True})
    all_tenants = (await api(here, "GET", f"/usage/invoices/{everywhere.json()['id']}/differences")).json()["results"]
    assert {one["reason"] for one in all_tenants if one["model"] == "small"} == {"equal"}
    assert (await api(here, "DELETE", path)).status_code == 204
    assert code(await api(here, "GET", path)) == (404, "invoice_not_found")
    events = (await api(here, "GET", "/audit?object_type=invoice")).json()["results"]
    assert events[0]["action"] == "invoice.removed"


@pytest.mark.parametrize(
    "wrong",
    [
        "day,model\n2026-01-01,x",
        "day,model,cost_usd",
        "day,model,cost_usd\nyesterday,x,1",
        "day,model,cost_usd\n9999-12-31,x,1",
        "day,model,cost_usd\n2026-01-01,x,a lot",
        "day,model,cost_usd\n2026-01-01,x,NaN",
        "day,model,cost_usd\n2026-01-01,x,1e99",
        "day,model,cost_usd\n2026-01-01,,1",
        'day,model,cost_usd\n2026-01-01,"x,1',
        "day,model,cost_usd\n2026-01-01",
        "\n",
    ],
    ids=range(11),
)
async def test_what_is_no_invoice_is_refused_by_its_line(here: Guarded, wrong: str) -> None:
    answer = await api(here, "POST", "/usage/invoices", {"provider": "openai", "number": "1", "csv": wrong})
    assert code(answer) == (422, "invalid_invoice")
    assert answer.json()["error"]["message"].startswith("Line ")


async def test_a_month_in_the_columns_of_focus_adds_up_to_it(here: Guarded, database: Database) -> None:
    await put(
        database,
        entry("req_1", tokens=TokenClasses(input=5, cached=4, output=3)),
        entry("req_2", model="large", cost_usd=Decimal("0.000000000001")),
        entry("req_3", at=NOON + timedelta(days=31)),
    )
    adjustment = {"cost_usd": "-0.001", "reason": "x", "provider": "openai", "at": "2026-03-05T00:00:00Z"}
    assert (await api(here, "POST", "/usage/adjustments", adjustment)).status_code == 201
    answer = await api(here, "GET", "/usage/months/2026-03/focus")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert sum(Decimal(row["BilledCost"]) for row in rows) == Decimal("0.019000000001")
    (usual,) = [row for row in rows if row["SkuId"] == "small" and row["ChargeCategory"] == "Usage"]
    assert (usual["ChargePeriodStart"], usual["ChargePeriodEnd"]) == ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")
    assert (usual["BillingPeriodStart"], usual["BillingPeriodEnd"]) == ("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z")
    assert (usual["ConsumedQuantity"], usual["ServiceCategory"], usual["ChargeClass"]) == ("12", "AI and Machine Learning", "")
    (adjusting,) = [row for row in rows if row["ChargeCategory"] == "Adjustment"]
    assert (adjusting["BilledCost"], adjusting["ConsumedQuantity"], adjusting["ProviderName"]) == ("-0.001", "", "openai")
    assert adjusting["ChargeClass"] == ""
    correction = adjustment | {"corrects": "2026-02"}
    assert (await api(here, "POST", "/usage/adjustments", correction)).json()["corrects"] == "2026-02"
    rows = list(csv.DictReader(io.StringIO((await api(here, "GET", "/usage/months/2026-03/focus")).text)))
    assert [row["BilledCost"] for row in rows if row["ChargeClass"] == "Correction"] == ["-0.001"]


async def test_each_adjusting_entry_is_a_line_of_focus_with_its_reason(here: Guarded, database: Database) -> None:
    await put(database, entry("req_1"))
    rule = {"centre": "4711", "kind": "tag", "name": "team", "value": "search"}
    assert (await api(here, "POST", "/usage/cost-centres", rule)).status_code == 201
    alike = {"cost_usd": "0.5", "provider": "openai", "model": "small", "tags": {"team": "search"}}
    for reason in ("credit, note", "rounding"):
        body = alike | {"reason": reason, "at": "2026-03-05T00:00:00Z"}
        assert (await api(here, "POST", "/usage/adjustments", body)).status_code == 201
    fee = {"cost_usd": "2", "reason": "setup fee", "at": "2026-03-05T00:00:00Z"}
    assert (await api(here, "POST", "/usage/adjustments", fee)).status_code == 201
    rows = list(csv.DictReader(io.StringIO((await api(here, "GET", "/usage/months/2026-03/focus")).text)))
    (fees,) = [row for row in rows if row["BilledCost"] == "2"]
    assert fees["ChargeDescription"] == "Adjustment: setup fee"
    rows.remove(fees)
    assert [row["ChargeDescription"] for row in rows] == [
        "Chat by small",
        "Adjustment of calls by small: credit, note",
        "Adjustment of calls by small: rounding",
    ]
    assert [(row["BilledCost"], row["ListCost"], row["x_CostCentre"], row["x_Status"]) for row in rows[1:]] == [
        ("0.5", "0.5", "4711", "adjustment")
    ] * 2


async def test_who_reads_changes_nothing_and_a_tenant_has_its_own_close(here: Guarded, database: Database) -> None:
    analyst, theirs = await key_of(here, Role.ANALYST), await key_of(here, tenant="acme")
    ours = entry()
    await put(database, ours)
    invoice = {"provider": "openai", "number": "1", "csv": INVOICE}
    adjustment = {"cost_usd": 1, "reason": "x"}
    made = (await api(here, "POST", "/usage/invoices", invoice)).json()["id"]
    for path, body in (("/adjustments", adjustment), ("/invoices", invoice), ("/months/2026-03/close", None)):
        assert code(await api(here, "POST", f"/usage{path}", body, key=analyst)) == (403, "forbidden")
    assert code(await api(here, "POST", "/usage/invoices", invoice | {"everywhere": True}, key=theirs)) == (403, "forbidden")
    assert code(await api(here, "GET", f"/usage/invoices/{made}", key=theirs)) == (404, "invoice_not_found")
    assert code(await api(here, "DELETE", f"/usage/invoices/{made}", key=theirs)) == (404, "invoice_not_found")
    assert code(await api(here, "POST", "/usage/adjustments", adjustment | {"entry": ours.id}, key=theirs)) == (
        404,
        "entry_not_found",
    )
    assert (await api(here, "POST", "/usage/months/2026-03/close", key=theirs)).json()["closed"]["cost_usd"] == 0
    assert (await api(here, "GET", "/usage/months/2026-03")).json()["closed"] is None
    assert [line["cost_usd"] for line in await lines(here)] == [0.02]


async def by(here: Guarded, dimension: str) -> dict[str | None, float]:
    return {line[dimension]: round(line["cost_usd"], 12) for line in await lines(here, f"group_by={dimension}")}


async def join(database: Database, team: str) -> None:
    async with database.transaction("default") as session:
        await session.exec(delete(TeamMember))
        session.add(TeamMember(team_id=team, user_id="usr_1"))


async def test_an_adjusting_entry_is_told_apart_as_the_entry_that_it_corrects(here: Guarded, database: Database) -> None:
    async with database.transaction("default") as session:
        session.add(User(id="usr_1", tenant="default", name="Ada"))
        session.add_all(Team(id=f"team_{name}", tenant="default", name=name) for name in "xy")
    await join(database, "team_x")
    for name in "xy":
        rule = {"centre": f"CC-{name}", "kind": "team", "value": f"team_{name}"}
        assert (await api(here, "POST", "/usage/cost-centres", rule)).status_code == 201
    called = entry(teams="team_x", version="v1", session_id="s1", cache=None)
    await put(database, called)
    await join(database, "team_y")
    body = {"cost_usd": "-0.02", "reason": "billed twice", "entry": called.id}
    assert (await api(here, "POST", "/usage/adjustments", body)).status_code == 201
    others = {"cost_usd": 1, "reason": "not seen", "principal": "usr_1"}
    assert (await api(here, "POST", "/usage/adjustments", others)).status_code == 201
    for _ in range(2):
        assert await by(here, "team") == {"team_x": 0, "team_y": 1}
        assert await by(here, "cost_centre") == {"CC-x": 0, "CC-y": 1}
        assert await by(here, "version") == {"v1": 0, None: 1}
        assert await by(here, "session_id") == {"s1": 0, None: 1}
        await roll_up(database)
    async with database.transaction("default") as session:
        await session.exec(delete(TeamMember))
        await session.exec(delete(User))
    assert await by(here, "team") == {"team_x": 0, "team_y": 1}


async def test_a_closed_month_keeps_the_cost_centres_that_it_was_closed_with(here: Guarded, database: Database) -> None:
    march = entry(tags={"team": "search"})
    await put(database, march, entry("req_2", tags={"team": "search"}, at=NOON + timedelta(days=40)))
    rule = {"centre": "old", "kind": "tag", "name": "team", "value": "search"}
    made = (await api(here, "POST", "/usage/cost-centres", rule)).json()["id"]
    assert (await api(here, "POST", "/usage/months/2026-03/close")).status_code == 200
    before = (await api(here, "GET", "/usage/months/2026-03/focus")).text
    assert (await api(here, "DELETE", f"/usage/cost-centres/{made}")).status_code == 204
    assert (await api(here, "GET", "/usage/cost-centres")).json()["results"] == []
    assert await by(here, "cost_centre") == {"old": 0.02, None: 0.02}
    assert (await api(here, "POST", "/usage/cost-centres", rule | {"centre": "new"})).status_code == 201
    special = {"centre": "special", "kind": "user", "value": "usr_1"}
    assert (await api(here, "POST", "/usage/cost-centres", special)).status_code == 201
    assert await by(here, "cost_centre") == {"old": 0.02, "special": 0.02}
    assert (await api(here, "GET", "/usage/months/2026-03/focus")).text == before
    correction = {"cost_usd": "0.5", "reason": "late", "entry": march.id}
    assert (await api(here, "POST", "/usage/adjustments", correction)).status_code == 201
    assert await by(here, "cost_centre") == {"old": 0.52, "special": 0.02}


async def test_a_correction_is_held_against_the_invoice_of_what_it_corrects(here: Guarded, database: Database) -> None:
    later = NOON + timedelta(days=31)  # the first of April
    wrong = entry("req_1", model="m1", cost_usd=Decimal(2))
    await put(
        database,
        wrong,
        *(entry(f"req_{number}", model="m2", at=later, estimated=number == 9) for number in range(2, 10)),
        entry("req_10", model="m3", at=later, cost_usd=Decimal(1)),
    )
    for body in (
        {"cost_usd": "-0.5", "entry": wrong.id, "at": "2026-04-01T10:00:00Z"},
        {"cost_usd": "1.5", "corrects": "2026-03", "provider": "openai", "model": "m3", "at": "2026-04-01T10:00:00Z"},
        {"cost_usd": "0.25", "provider": "openai", "model": "m3", "at": "2026-04-01T10:00:00Z"},
    ):
        assert (await api(here, "POST", "/usage/adjustments", body | {"reason": "x"})).status_code == 201

    async def told(number: str, amounts: str) -> dict[tuple[str, str], tuple[float, float, str]]:
        body = {"provider": "openai", "number": number, "csv": f"day,model,cost_usd\n{amounts}"}
        made = (await api(here, "POST", "/usage/invoices", body)).json()["id"]
        found = (await api(here, "GET", f"/usage/invoices/{made}/differences")).json()["results"]
        return {(one["day"], one["model"]): (one["ledger_usd"], one["adjusted_usd"], one["reason"]) for one in found}

    assert await told("march", "2026-03-01,m1,1.5\n2026-03-30,m1,1") == {
        ("2026-03-01", "m1"): (1.5, -0.5, "equal"),
        ("2026-03-30", "m1"): (0, 0, "not_in_ledger"),
        ("2026-03-30", "m3"): (1.5, 1.5, "adjusted"),  # of the month as a whole: where the invoice ends
    }
    assert await told("april", "2026-04-01,m2,1.66\n2026-04-01,m3,1") == {
        ("2026-04-01", "m2"): (0.16, 0, "price"),  # one call of eight that was counted here is not 1.50
        ("2026-04-01", "m3"): (1.25, 0.25, "adjusted"),
    }
    assert (await told("again", "2026-04-01,m2,0.17"))[("2026-04-01", "m2")] == (0.16, 0, "estimated")


async def test_focus_tells_list_cost_beside_a_contract_s_and_nothing_where_none_is_known(
    here: Guarded, database: Database
) -> None:
    own: dict[str, Any] = {"price_source": "settings", "cost_usd": Decimal(1)}
    await put(
        database,
        entry("req_1", model="listed", list_usd=Decimal("1.25"), **own),
        entry("req_2", model="listed", cost_usd=Decimal(2)),
        entry("req_3", model="unlisted", **own),
        entry("req_4", model="unlisted", list_usd=Decimal(5), **own),
        entry("req_5", model="unpriced", cost_usd=None),
    )
    for _ in range(2):
        rows = csv.DictReader(io.StringIO((await api(here, "GET", "/usage/months/2026-03/focus")).text))
        told = {row["SkuId"]: (Decimal(row["BilledCost"]), row["ListCost"] and Decimal(row["ListCost"])) for row in rows}
        assert told == {"listed": (3, Decimal("3.25")), "unlisted": (2, ""), "unpriced": (0, "")}
        await roll_up(database)


async def test_entries_are_listed_so_that_one_can_be_adjusted(here: Guarded, database: Database) -> None:
    theirs, analyst = await key_of(here, tenant="acme"), await key_of(here, Role.ANALYST)
    await put(
        database,
        *(entry(f"req_{number}", at=NOON + timedelta(minutes=number // 2), session_id="s") for number in range(5)),
        entry("req_5", model="large", key_id="key_1", teams="team_1,team_2", at=NOON - timedelta(days=1)),
        entry("req_6", tenant="acme"),
    )

    async def told(query: str = "", key: str | None = None) -> list[dict[str, Any]]:
        answer = await api(here, "GET", f"/usage/entries?{query}", key=key)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["results"])

    seen, cursor = [], ""
    while cursor is not None:
        page = (await api(here, "GET", f"/usage/entries?limit=2&cursor={cursor}")).json()
        seen += [one["request_id"] for one in page["results"]]
        cursor = page["next_cursor"]
    assert sorted(seen) == [f"req_{number}" for number in range(6)]
    assert (seen[0], seen[-1]) == ("req_4", "req_5")
    for query in ("model=large", "key_id=key_1", "request_id=req_5", "to=2026-03-01T00:00:00Z"):
        (one,) = await told(query)
        assert (one["request_id"], one["teams"], one["cost_usd"]) == ("req_5", ["team_1", "team_2"], 0.02), query
    assert len(await told("principal=usr_1&provider=openai&alias=default&from=2026-03-01T12:00:00Z")) == 5
    assert await told("principal=usr_2") == []
    assert [one["request_id"] for one in await told(key=theirs)] == ["req_6"]
    assert {one["session_id"] for one in await told("model=small")} == {"s"}
    assert {one["session_id"] for one in await told("model=small", analyst)} == {None}
    adjusted = await api(here, "POST", "/usage/adjustments", {"cost_usd": 1, "reason": "x", "entry": one["id"]})
    assert adjusted.json()["model"] == "large"
    assert code(await api(here, "GET", "/usage/entries?cursor=bm90aGluZw")) == (422, "invalid_cursor")
    assert code(await api(here, "GET", "/usage/entries", key=await key_of(here, Role.USER))) == (403, "forbidden")
