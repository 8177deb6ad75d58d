"""Analytics over REST and as a page: who sees what, what a line tells, filters, CSV, cost centres."""

import csv
import html
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.database import Database, utc_now
from core.ledger import Entry, TokenClasses
from core.ledger.rollups import roll_up
from core.principals import Role
from core.settings import Settings
from core.tables import APIKey, LedgerAdjustment, LedgerRow, Team, TeamMember, User
from server.routes import analytics, cost_centres, ledger_entries, usage, usage_page
from tests.server.administration import OWN_SITE, api, key_of, sign_in, with_pages
from tests.server.conftest import ON_SQLITE, Guarded

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATH = "/usage/analytics"


@pytest.fixture
def here(guarded: Guarded, settings: Settings) -> Guarded:
    for module in (usage, analytics, ledger_entries, cost_centres, usage_page):
        guarded.app.include_router(module.router)
    return with_pages(guarded, settings)


def entry(request: str = "req_1", **more: Any) -> Entry:
    told: dict[str, Any] = {
        "request_id": request,
        "tenant": "default",
        "principal": "usr_1",
        "alias": "default",
        "provider": "openai",
        "model": "small",
        "status": "ok",
        "latency_ms": 100.0,
        "capability": "chat",
        "tokens": TokenClasses(input=600, output=400),
        "cost_usd": Decimal("0.02"),
        "at": NOON,
    }
    return Entry(**(told | more))


async def put(database: Database, *entries: Entry) -> None:
    async with database.transaction(all_tenants=True) as session:
        session.add_all([LedgerRow(**one.row()) for one in entries])


async def lines(here: Guarded, query: str = "", *, key: str | None = None) -> list[dict[str, Any]]:
    answer = await api(here, "GET", f"{PATH}?{query}", key=key)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


async def test_a_line_tells_what_follows_from_its_sums(here: Guarded, database: Database) -> None:
    await put(
        database,
        entry("req_1", status="timeout", latency_ms=900.0, cost_usd=Decimal(0), tokens=TokenClasses()),
        entry("req_1", provider="bedrock", model="large", cost_usd=Decimal("0.06")),
        entry("req_2"),
        entry("req_3", cache="hit", latency_ms=0.0, cost_usd=Decimal(0), tokens=TokenClasses()),
    )
    for _ in range(2):  # as the tail, and rolled up
        openai, bedrock = sorted(await lines(here, "group_by=provider"), key=lambda line: str(line["provider"]), reverse=True)
        assert (openai["attempts"], openai["error_rate"], openai["failovers"], openai["failover_rate"]) == (2, 0.5, 1, 0.333333)
        assert (openai["cached"], openai["cache_rate"], openai["cache_savings_usd"]) == (1, 0.333333, 0.02)
        assert openai["usd_per_1k_tokens"] == 0.02
        assert openai["latency_p50_ms"] == pytest.approx(100, rel=0.26)
        assert openai["latency_p99_ms"] == pytest.approx(900, rel=0.26)
        assert (bedrock["requests"], bedrock["failovers"], bedrock["error_rate"], bedrock["cache_savings_usd"]) == (1, 0, 0, 0)
        await roll_up(database)


async def test_a_price_per_token_is_of_priced_calls_alone(here: Guarded, database: Database) -> None:
    unpriced: dict[str, Any] = {"cost_usd": None, "price_basis": "unpriced", "tokens": TokenClasses(input=9000, output=1000)}
    await put(
        database,
        entry("req_1", alias="mixed"),
        entry("req_2", alias="mixed", **unpriced),
        entry("req_3", alias="unknown", **unpriced),
        entry("req_4", alias="free", cost_usd=Decimal(0)),
    )
    async with database.transaction("default") as session:
        session.add(LedgerAdjustment(tenant="default", at=NOON, cost_usd=Decimal(7), reason="r", alias="mixed", created_by="x"))
        session.add(LedgerAdjustment(tenant="default", at=NOON, cost_usd=Decimal(7), reason="r", alias="other", created_by="x"))
    for _ in range(2):  # as the tail, and rolled up
        told = {line["alias"]: line["usd_per_1k_tokens"] for line in await lines(here, "group_by=alias")}
        assert told == {"mixed": 0.02, "unknown": None, "free": 0, "other": None}
        (whole,) = await lines(here)
        assert (whole["cost_usd"], whole["usd_per_1k_tokens"]) == (14.02, 0.01)
        await roll_up(database)


@ON_SQLITE
async def test_the_page_says_of_a_price_that_nobody_knows_that_it_is_unpriced(here: Guarded, database: Database) -> None:
    await put(database, entry(at=utc_now(), cost_usd=None, price_basis="unpriced"))
    await sign_in(here)
    page = (await here.client.get("/usage?by=model", headers=OWN_SITE)).text
    assert '<td data-label="of 1,000">unpriced</td>' in page


async def test_filters_and_order(here: Guarded, database: Database) -> None:
    await put(
        database,
        entry("req_1", tags={"team": "search"}),
        entry("req_2", tags={"team": "ads"}, alias="fast", cost_usd=Decimal("0.5"), key_id="key_1"),
        entry("req_3", alias="code", at=NOON + timedelta(days=8)),
    )
    await roll_up(database)
    assert [line["alias"] for line in await lines(here, "group_by=alias&only=tag:team=search&only=tag:team=ads")] == [
        "fast",
        "default",
    ]
    assert [line["alias"] for line in await lines(here, "group_by=alias&only=tag:team=&only=alias=code")] == ["code"]
    assert [line["alias"] for line in await lines(here, "group_by=alias&only=key_id=key_1")] == ["fast"]
    by_week = await lines(here, "group_by=week,alias&order=group")
    assert [(line["week"], line["alias"]) for line in by_week] == [
        ("2026-02-23", "default"),
        ("2026-02-23", "fast"),
        ("2026-03-09", "code"),
    ]
    for query, code in (
        ("only=alias", "invalid_filter"),
        ("only=colour=red", "invalid_dimension"),
        ("group_by=tenant", "invalid_dimension"),
        ("order=colour", "invalid_request"),
        ("from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", "invalid_request"),
    ):
        answer = await api(here, "GET", f"{PATH}?{query}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, code), query


@pytest.mark.parametrize("path", ["/usage", PATH, "/usage/entries"])
async def test_a_time_that_ends_before_it_begins_is_refused(here: Guarded, path: str) -> None:
    answer = await api(here, "GET", f"{path}?from=2026-03-02T00:00:00Z&to=2026-03-02T00:59:59%2B01:00")
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "from")
    assert "ends before it begins" in answer.json()["error"]["message"]
    nothing = await api(here, "GET", f"{path}?from=2026-03-02T00:00:00Z&to=2026-03-02T00:00:00Z")
    assert nothing.status_code == 200


async def test_it_is_paged(here: Guarded, database: Database) -> None:
    await put(database, *(entry(f"req_{number}", alias=f"a{number}", cost_usd=Decimal(number)) for number in range(5)))
    seen, cursor = [], ""
    while True:
        answer = (await api(here, "GET", f"{PATH}?group_by=alias&limit=2&cursor={cursor}")).json()
        seen += [line["alias"] for line in answer["results"]]
        if (cursor := answer["next_cursor"]) is None:
            break
    assert seen == ["a4", "a3", "a2", "a1", "a0"]


async def test_the_plain_sums_are_told_whole_or_in_pages(here: Guarded, database: Database) -> None:
    await put(database, *(entry(f"req_{number}", alias=f"a{number}", cost_usd=Decimal(number)) for number in range(60)))
    whole = (await api(here, "GET", "/usage?group_by=alias")).json()
    assert (len(whole["results"]), whole["next_cursor"]) == (60, None)
    seen, cursor = [], ""
    while True:
        answer = (await api(here, "GET", f"/usage?group_by=alias&limit=25&cursor={cursor}")).json()
        seen.append([line["alias"] for line in answer["results"]])
        if (cursor := answer["next_cursor"]) is None:
            break
    assert [len(page) for page in seen] == [25, 25, 10]
    assert [alias for page in seen for alias in page] == [f"a{number}" for number in range(59, -1, -1)]
    refused = await api(here, "GET", "/usage?group_by=alias&cursor=!")
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_cursor")


async def test_csv_has_every_digit_and_no_formula(here: Guarded, database: Database) -> None:
    evil = '=HYPERLINK("http://evil.test")'
    times = [{"latency_ms": 101.506, "cost_usd": Decimal(0), "tokens": TokenClasses()} for _ in range(2)]
    slow = [entry(tags={"team": evil}, **more) for more in times]
    await put(database, *slow, entry(tags={"team": evil}, cost_usd=Decimal("0.000000012345"), latency_ms=101.507))
    answer = await api(here, "GET", f"{PATH}?group_by=tag:team,day&format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["tag:team"], row["day"], row["cost_usd"]) == (f"'{evil}", "2026-03-01", "0.000000012345")
    assert (row["usd_per_1k_tokens"], row["latency_ms"]) == ("0.000000012345", "101.506")
    headers = {"x-api-key": here.key, "accept": "text/csv"}
    assert (await here.client.get(f"/api/v1{PATH}", headers=headers)).headers["content-type"].startswith("text/csv")


async def test_a_tenant_sees_itself_alone_and_the_operator_all(here: Guarded, database: Database) -> None:
    theirs = await key_of(here, tenant="acme")
    await put(database, entry(), entry(tenant="acme", cost_usd=Decimal(7), provider="secret"))
    for _ in range(2):
        assert [line["provider"] for line in await lines(here, "group_by=provider")] == ["openai"]
        assert [line["provider"] for line in await lines(here, "group_by=provider", key=theirs)] == ["secret"]
        both = await lines(here, "group_by=tenant&all_tenants=true")
        assert [(line["tenant"], line["cost_usd"], line["requests"]) for line in both] == [("acme", 7, 1), ("default", 0.02, 1)]
        (whole,) = await lines(here, "all_tenants=true")
        assert (whole["requests"], whole["cost_usd"]) == (2, 7.02)
        for key in (theirs, await key_of(here, Role.ANALYST)):
            answer = await api(here, "GET", f"{PATH}?all_tenants=true", key=key)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
        await roll_up(database)
    assert (await api(here, "GET", PATH, key=await key_of(here, Role.USER))).status_code == 403


async def test_teams_and_cost_centres(here: Guarded, database: Database) -> None:
    async with database.transaction("default") as session:
        session.add_all([User(id="usr_1", tenant="default", name="Ada"), Team(id="team_1", tenant="default", name="Search")])
        await session.flush()
        session.add(TeamMember(team_id="team_1", user_id="usr_1"))
    await put(
        database,
        entry("req_1"),
        entry("req_2", principal="usr_2", tags={"project": "x"}, cost_usd=Decimal(1)),
        entry("req_3", principal="usr_2", key_id="key_9", tags={"project": "x"}, cost_usd=Decimal(2)),
        entry("req_4", principal="usr_3", cost_usd=Decimal(3)),
    )
    by_team = {line["team"]: line["cost_usd"] for line in await lines(here, "group_by=team")}
    assert by_team == {None: 6, "team_1": 0.02}
    assert [line["requests"] for line in await lines(here, "only=team=team_1")] == [1]
    made = []
    for rule in (
        {"centre": "100", "kind": "team", "value": "team_1"},
        {"centre": "200", "kind": "tag", "name": "project", "value": "x"},
        {"centre": "300", "kind": "key", "value": "key_9"},
    ):
        answer = await api(here, "POST", "/usage/cost-centres", rule)
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["id"])
    for _ in range(2):
        by_centre = {line["cost_centre"]: line["cost_usd"] for line in await lines(here, "group_by=cost_centre")}
        assert by_centre == {"100": 0.02, "200": 1, "300": 2, None: 3}
        assert [line["cost_usd"] for line in await lines(here, "only=cost_centre=200")] == [1]
        (whole,) = await lines(here, "group_by=cost_centre,tenant&all_tenants=true&only=cost_centre=300")
        assert (whole["cost_centre"], whole["tenant"], whole["cost_usd"]) == ("300", "default", 2)
        await roll_up(database)
    again = await api(here, "POST", "/usage/cost-centres", {"centre": "5", "kind": "key", "value": "key_9"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_exists")
    assert (await api(here, "POST", "/usage/cost-centres", {"centre": "5", "kind": "tag", "value": "x"})).status_code == 422
    listed = (await api(here, "GET", "/usage/cost-centres?limit=2")).json()
    assert len(listed["results"]) == 2
    assert listed["next_cursor"]
    analyst = await key_of(here, Role.ANALYST)
    assert (await api(here, "DELETE", f"/usage/cost-centres/{made[0]}", key=analyst)).status_code == 403
    assert (await api(here, "DELETE", f"/usage/cost-centres/{made[0]}")).status_code == 204
    assert (await api(here, "DELETE", f"/usage/cost-centres/{made[0]}")).status_code == 404
    events = (await api(here, "GET", "/audit?action=cost_centre.changed")).json()["results"]
    assert [event["details"]["change"] for event in events] == ["removed", "created", "created", "created"]


async def test_a_cost_centre_keeps_a_key_that_is_rotated(here: Guarded, database: Database) -> None:
    async with database.transaction("default") as session:
        line = {"key_7": None, "key_8": "key_7", "key_9": "key_7", "key_0": None}
        session.add_all(APIKey(id=key, name="app", digest=f"digest {key}", stands_for=first) for key, first in line.items())
    await put(database, *(entry(f"req_{number}", principal="usr_2", key_id=key) for number, key in enumerate(line)))
    await api(here, "POST", "/usage/cost-centres", {"centre": "300", "kind": "key", "value": "key_8"})
    for _ in range(2):
        by_centre = {line["cost_centre"]: line["attempts"] for line in await lines(here, "group_by=cost_centre")}
        assert by_centre == {"300": 3, None: 1}
        await roll_up(database)


@pytest.mark.parametrize("period", ["24h", "7d", "30d", "12w", "12m"])
async def test_the_page_shows_what_was_used_without_a_script(here: Guarded, database: Database, period: str) -> None:
    await put(
        database,
        entry("req_1", at=utc_now(), model="<b>bold</b>"),
        *(entry(f"req_{number}", at=utc_now(), model=f"m{number}") for number in range(10, 17)),
        entry("req_2", tenant="acme", at=utc_now(), model="secret"),
    )
    await sign_in(here)
    page = await here.client.get(f"/usage?period={period}&by=model", headers=OWN_SITE)
    assert page.status_code == 200
    assert "&lt;b&gt;bold&lt;/b&gt;" in page.text
    assert "<b>bold</b>" not in page.text
    assert "secret" not in page.text
    assert "others" in page.text
    assert page.text.count("<canvas") == 2
    assert "style=" not in page.text
    assert re.findall(r"<script (?!src=)", page.text) == []
    link = page.text.partition('href="/api/v1/usage/analytics?')[2].partition('"')[0].replace("&amp;", "&")
    assert (await here.client.get(f"/api/v1/usage/analytics?{link}")).text.startswith(("day,", "hour,", "week,", "month,"))


@ON_SQLITE
async def test_the_page_leads_into_a_group_and_out_again(here: Guarded, database: Database) -> None:
    await put(
        database,
        entry("req_1", at=utc_now(), alias="a", provider="openai", tags={"app": "web"}),
        entry("req_2", at=utc_now(), alias="a", provider="azure", cost_usd=Decimal(7)),
        entry("req_3", at=utc_now(), alias="b", provider="vertex", model="elsewhere"),
    )
    await sign_in(here)
    compared = (await here.client.get("/usage?by=alias&and_by=provider&measure=price", headers=OWN_SITE)).text
    assert compared.index("azure") < compared.index("openai")
    assert 'Median</th><th scope="col">95 %</th><th scope="col">First token, 95 %</th>' in compared
    into = html.unescape(re.findall(r'<th scope="row"><a href="([^"]+)">a</a>', compared)[1])
    assert "only=alias%3Da&only=provider%3Dopenai" in into
    inside = (await here.client.get(into, headers=OWN_SITE)).text
    assert "elsewhere" not in inside
    assert "small" in inside
    out = html.unescape(re.findall(r'href="([^"]+)" aria-label="Take away the filter Alias', inside)[0])
    assert "only=provider%3Dopenai" in out
    assert "alias%3Da" not in out
    by_tag = (await here.client.get("/usage?by=tag&tag=app&filter_by=alias&filter_is=a", headers=OWN_SITE)).text
    assert "web" in by_tag
    assert "group_by=tag%3Aapp&amp;only=alias%3Da" in by_tag


@ON_SQLITE
@pytest.mark.parametrize(
    "query", ["by=tag", "by=nothing", "only=model", "period=own&first=2026-02-02&last=2026-02-01", "measure=weight"]
)
async def test_a_page_that_cannot_be_says_why(here: Guarded, query: str) -> None:
    await sign_in(here)
    page = await here.client.get(f"/usage?{query}", headers=OWN_SITE)
    assert page.status_code == 422
    assert 'role="alert"' in page.text


@ON_SQLITE
async def test_all_tenants_are_shown_to_who_manages_them(here: Guarded, database: Database) -> None:
    await put(database, entry("req_1", tenant="acme", at=utc_now(), model="theirs"))
    await sign_in(here)
    assert "theirs" in (await here.client.get("/usage?tenants=all&by=model", headers=OWN_SITE)).text
    assert "acme" in (await here.client.get("/usage?tenants=all&by=tenant", headers=OWN_SITE)).text
    await sign_in(here, await key_of(here, Role.ANALYST))
    assert (await here.client.get("/usage?tenants=all", headers=OWN_SITE)).status_code == 403


async def test_an_empty_page_says_so(here: Guarded) -> None:
    await sign_in(here)
    assert "Nothing was used" in (await here.client.get("/usage", headers=OWN_SITE)).text
    await sign_in(here, await key_of(here, Role.USER))
    assert (await here.client.get("/usage", headers=OWN_SITE)).status_code == 403
