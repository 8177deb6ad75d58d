"""Usage over the ledger: who sees what, and sums to the last digit."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.database import Database
from core.errors import InvalidRequest
from core.ledger import Entry, TokenClasses
from core.ledger.rollups import roll_up
from core.ledger.usage import Line, Question, analyse, usage
from core.tables import LedgerRow, Team, TeamMember, Tenant, User

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def enter(database: Database) -> Callable[..., Any]:
    async def put(*entries: Entry) -> None:
        async with database.transaction(all_tenants=True) as session:
            session.add_all([LedgerRow(**entry.row()) for entry in entries])

    return put


def entry(**more: Any) -> Entry:
    told: dict[str, Any] = {
        "request_id": "req_1",
        "tenant": "acme",
        "principal": "usr_1",
        "alias": "default",
        "provider": "openai",
        "model": "small",
        "status": "ok",
        "latency_ms": 10.0,
        "tokens": TokenClasses(input=7, cached=5, cache_write=1, cache_write_1h=1, output=3, reasoning=2),
        "cost_usd": Decimal("0.1"),
        "at": NOON,
    }
    return Entry(**(told | more))


async def lines(database: Database, *by: str, **more: Any) -> dict[tuple[str | None, ...], Line]:
    return {tuple(line.group.values()): line for line in await usage(database, "acme", by, **more)}


async def test_sums_are_exact_and_the_tenant_s_own(database: Database, enter: Any) -> None:
    await enter(*(entry(request_id=f"r{number}") for number in range(3)), entry(tenant="umbrella"))
    line = (await lines(database))[()]
    assert (line.requests, line.attempts, line.cost_usd) == (3, 3, Decimal("0.3"))
    assert line.tokens == {
        "input": 21,
        "cached": 15,
        "cache_write": 3,
        "cache_write_1h": 3,
        "output": 9,
        "reasoning": 6,
        "input_audio": 0,
        "output_audio": 0,
        "input_image": 0,
        "output_image": 0,
    }


async def test_failed_cached_estimated_and_unpriced_are_told_apart(database: Database, enter: Any) -> None:
    await enter(
        entry(status="timeout", cost_usd=Decimal(0)),
        entry(estimated=True),
        entry(cost_usd=None, price_basis="unpriced"),
        entry(request_id="req_2", cache="hit", cost_usd=Decimal(0), tokens=TokenClasses(), latency_ms=0.0),
    )
    line = (await lines(database))[()]
    assert (line.requests, line.attempts, line.failed, line.cached) == (2, 3, 1, 1)
    assert (line.estimated, line.unpriced, line.cost_usd) == (1, 1, Decimal("0.1"))
    assert line.latency_ms == 10.0, "what was not called took no time"


async def test_grouped_by_what_is_asked_the_dearest_first(database: Database, enter: Any) -> None:
    await enter(
        entry(tags={"team": "search"}),
        entry(model="large", cost_usd=Decimal(2), tags={"team": "ads"}, at=NOON + timedelta(hours=11, minutes=59)),
        entry(model="large", cost_usd=Decimal(3), at=NOON + timedelta(hours=12)),
    )
    assert list(await lines(database, "model")) == [("large",), ("small",)]
    by_team = await lines(database, "tag:team")
    assert {group[0]: line.cost_usd for group, line in by_team.items()} == {
        "search": Decimal("0.1"),
        "ads": Decimal(2),
        None: Decimal(3),
    }
    by_day = await lines(database, "day", "model")
    assert by_day[("2026-03-01", "large")].cost_usd == 2
    assert by_day[("2026-03-02", "large")].cost_usd == 3
    assert ("2026-03-01T12:00:00Z",) in await lines(database, "hour")


async def test_from_is_included_and_to_is_not(database: Database, enter: Any) -> None:
    await enter(entry(), entry(at=NOON + timedelta(hours=1)))
    assert (await lines(database, since=NOON, until=NOON + timedelta(hours=1)))[()].attempts == 1
    assert (await lines(database, since=NOON + timedelta(hours=2)))[()].attempts == 0


@pytest.mark.parametrize(
    "wrong", [["colour"], ["tag:"], ["model", "model"], ["model", "alias", "day", "hour", "status"]], ids=str
)
async def test_what_cannot_be_grouped_by_is_refused(database: Database, wrong: list[str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await usage(database, "acme", wrong)
    assert refused.value.code == "invalid_dimension"


async def test_teams_are_those_of_when_it_was_called(database: Database, enter: Any) -> None:
    async with database.transaction("acme") as session:
        session.add(Tenant(id="acme", name="acme"))
        await session.flush()
        session.add_all(
            [User(id="usr_1", tenant="acme", name="Ada"), *(Team(id=f"team_{n}", tenant="acme", name=n) for n in "abc")]
        )
        await session.flush()
        session.add(TeamMember(team_id="team_c", user_id="usr_1"))
    await enter(
        entry(request_id="r1", teams="team_a,team_b"),
        entry(request_id="r2", teams="team_b", cost_usd=Decimal(1)),
        entry(request_id="r3", teams="", cost_usd=Decimal(2)),
        entry(request_id="r4", cost_usd=Decimal(4)),  # of before they were kept: whoever is a member now
    )
    for _ in range(2):  # as the tail, and rolled up
        sums = {group: line.cost_usd for group, line in (await lines(database, "team")).items()}
        assert sums == {("team_a",): Decimal("0.1"), ("team_b",): Decimal("1.1"), (None,): 2, ("team_c",): 4}
        for team, cost in (("team_b", "1.1"), ("team_c", "4"), ("", "2"), ("team", "0")):
            found = await analyse(database, Question("acme", only={"team": [team]}))
            assert sum(line.cost_usd for line in found) == Decimal(cost), team
        await roll_up(database)


async def test_versions_of_an_alias_are_told_apart(database: Database, enter: Any) -> None:
    await enter(entry(version="aa"), entry(version="aa"), entry(version="bb"), entry())
    for _ in range(2):
        told = {group: line.attempts for group, line in (await lines(database, "version", "alias")).items()}
        assert told == {("aa", "default"): 2, ("bb", "default"): 1, (None, "default"): 1}
        await roll_up(database)


async def test_what_a_kept_answer_has_saved_is_what_it_had_cost(database: Database, enter: Any) -> None:
    nothing: dict[str, Any] = {"cache": "hit", "cost_usd": Decimal(0), "tokens": TokenClasses(), "latency_ms": 0.0}
    await enter(
        entry(request_id="r1", version="v"),
        entry(request_id="r2", version="v", saved_tokens=17, saved_usd=Decimal("0.3"), **nothing),
        entry(request_id="r3", version="v", saved_tokens=5, **nothing),  # no price was known
        entry(request_id="r4", **nothing),  # of before it was kept: as its like cost
    )
    for _ in range(2):
        (line,) = await analyse(database, Question("acme"))
        assert (line.cached, line.saved_tokens, line.saved_usd) == (3, 22, Decimal("0.4"))
        await roll_up(database)
