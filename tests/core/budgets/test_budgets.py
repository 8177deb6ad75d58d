"""Budgets on a real Valkey and real databases: room is given out once, and comes back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from core import alerts
from core.alerts import Alert
from core.budget_settings import BudgetSettings
from core.budgets import Budgets, Degraded
from core.database import Database, utc_now
from core.errors import BudgetExceeded, Unavailable
from core.ledger import Entry, TokenClasses
from core.principals import SYSTEM, Principal
from core.redis_clients import RedisClients
from core.settings import Settings
from core.tables import Budget, LedgerRow, Team, TeamMember, Tenant, User
from core.valkey import EmbeddedValkey

HOLD_S = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    valkey = EmbeddedValkey(Settings.load(data_dir=tmp_path_factory.mktemp("valkey")))
    yield valkey.start()
    valkey.close()


@pytest.fixture
async def clients(server: str) -> AsyncIterator[RedisClients]:
    opened = RedisClients(server, wait_s=5)  # a machine that does much else is late at everything
    await opened.get().flushall()
    yield opened
    await opened.close()


@pytest.fixture
def caller() -> Principal:
    return replace(SYSTEM, id="usr_1", tenant="acme", key_id="key_1", teams=frozenset({"team_1"}))


@pytest.fixture
async def budgets(database: Database, clients: RedisClients) -> AsyncIterator[Budgets]:
    made = Budgets(database._settings)
    made.connect(clients)
    yield made
    await made.settled()
    made.close()


@pytest.fixture
def limit(database: Database, budgets: Budgets) -> Callable[..., Any]:
    """Makes a budget and has it read."""

    async def make(**told: Any) -> Budget:
        row = Budget(**({"tenant": "acme", "window": "month", "created_by": "usr_0"} | told))
        async with database.transaction(all_tenants=True) as session:
            session.add(row)
        await budgets.load(database)
        return row

    return make


async def reserve(budgets: Budgets, caller: Principal, tokens: int = 10, usd: Decimal | None = Decimal("0.01")) -> Any:
    return await budgets.reserve(budgets.of(caller, "default"), tokens, usd, HOLD_S)


async def test_no_more_is_given_out_than_there_is_however_many_ask_at_once(
    budgets: Budgets, caller: Principal, limit: Any
) -> None:
    row = await limit(limit_tokens=500)
    answers = await asyncio.gather(*(reserve(budgets, caller) for _ in range(200)), return_exceptions=True)
    assert sum(not isinstance(answer, Exception) for answer in answers) == 50
    assert {type(answer) for answer in answers if isinstance(answer, Exception)} == {BudgetExceeded}
    for hold in answers:
        if not isinstance(hold, Exception):
            hold.settle(10, Decimal(0))
    await budgets.settled()
    standing = await budgets.standing(row)
    assert (standing.spent, standing.reserved) == (500, 0)


async def test_what_was_not_used_comes_back(budgets: Budgets, caller: Principal, limit: Any) -> None:
    row = await limit(limit_usd=Decimal("0.01"))
    hold = await reserve(budgets, caller)
    with pytest.raises(BudgetExceeded):
        await reserve(budgets, caller)
    hold.settle(3, Decimal("0.0000000001"))
    await budgets.settled()
    assert (await budgets.standing(row)).spent == Decimal("1e-9"), "rounded up, never down"
    with pytest.raises(BudgetExceeded):
        await reserve(budgets, caller)
    assert await reserve(budgets, caller, usd=Decimal("0.009"))


async def test_all_budgets_of_a_request_have_room_or_none_is_touched(budgets: Budgets, caller: Principal, limit: Any) -> None:
    wide = await limit(limit_tokens=1_000)
    await limit(limit_tokens=5, user="usr_1")
    with pytest.raises(BudgetExceeded):
        await reserve(budgets, caller)
    assert (await budgets.standing(wide)).reserved == 0


async def test_a_reservation_that_nobody_settles_is_let_go(budgets: Budgets, caller: Principal, limit: Any) -> None:
    row = await limit(limit_tokens=10)
    await budgets.reserve(budgets.of(caller, "default"), 10, None, 0.05)
    async with asyncio.timeout(10):
        while (await budgets.standing(row)).reserved:  # noqa: ASYNC110 - Valkey's own clock lets it go
            await asyncio.sleep(0.02)
    assert await reserve(budgets, caller)


async def test_who_counts(budgets: Budgets, caller: Principal, limit: Any) -> None:
    for told in ({"team": "team_1"}, {"user": "usr_1"}, {"key": "key_1"}, {"alias": "default"}, {}):
        await limit(limit_tokens=100, **told)
    await limit(limit_tokens=100, user="usr_1", alias="other")
    await limit(limit_tokens=100, team="team_2")
    await limit(limit_tokens=100, tenant="umbrella")
    assert len(budgets.of(caller, "default")) == 5
    assert len(budgets.of(replace(caller, id="usr_2", key_id=None, teams=frozenset()), "other")) == 1
    assert budgets.of(replace(caller, tenant="nobody"), "default") == ()


async def test_a_new_budget_counts_what_was_spent_before(
    database: Database, budgets: Budgets, caller: Principal, limit: Any
) -> None:
    async with database.transaction(all_tenants=True) as session:
        session.add_all([Tenant(id="acme", name="Acme"), User(id="usr_1", tenant="acme", name="Ada")])
    async with database.transaction(all_tenants=True) as session:
        session.add(Team(id="team_1", tenant="acme", name="search"))
        session.add_all([LedgerRow(**_entry(**told).row()) for told in ({}, {"principal": "usr_2"}, {"tenant": "umbrella"})])
    async with database.transaction(all_tenants=True) as session:
        session.add(TeamMember(team_id="team_1", user_id="usr_1"))
    told: dict[str, tuple[dict[str, Any], Decimal]] = {
        "tenant": ({"limit_usd": Decimal(9)}, Decimal("0.5")),
        "tokens": ({"limit_tokens": 99}, Decimal(34)),
        "user": ({"limit_usd": Decimal(9), "user": "usr_1"}, Decimal("0.25")),
        "team": ({"limit_usd": Decimal(9), "team": "team_1"}, Decimal("0.25")),
        "rolling": ({"limit_usd": Decimal(9), "window": "24h"}, Decimal("0.5")),
    }
    for name, (fields, expected) in told.items():
        row = await limit(**fields)
        assert (await budgets.standing(row)).spent == expected, name
    await reserve(budgets, caller)


async def test_a_soft_budget_is_told_of_and_refuses_nobody(budgets: Budgets, caller: Principal, limit: Any) -> None:
    told: list[Alert] = []
    routes = alerts.alerts().routes
    routes.append(told.append)
    try:
        await limit(limit_tokens=20, mode="soft")
        for _ in range(3):
            assert await reserve(budgets, caller)
        await alerts.alerts().settled()
    finally:
        routes.remove(told.append)
    assert [alert.facts["share"] for alert in told] == [0.5, 1.0]


async def test_a_degrading_budget_names_the_cheaper_alias(budgets: Budgets, caller: Principal, limit: Any) -> None:
    await limit(limit_tokens=5, mode="degrade", degrade_to="small")
    with pytest.raises(Degraded) as degraded:
        await reserve(budgets, caller)
    assert degraded.value.alias == "small"


async def test_what_has_no_price_is_not_let_into_a_budget_of_dollars(budgets: Budgets, caller: Principal, limit: Any) -> None:
    await limit(limit_usd=Decimal(1))
    with pytest.raises(BudgetExceeded) as refused:
        await reserve(budgets, caller, usd=None)
    assert refused.value.code == "budget_unpriced"


@pytest.mark.parametrize(("closed", "mode", "admitted"), [(True, "hard", False), (True, "soft", True), (False, "hard", True)])
async def test_with_the_store_away(database: Database, caller: Principal, closed: bool, mode: str, admitted: bool) -> None:
    async with database.transaction(all_tenants=True) as session:
        row = Budget(tenant="acme", window="day", limit_tokens=100, created_by="usr_0", mode=mode)
        session.add(row)
    without = BudgetSettings(without_store="refuse" if closed else "admit")
    budgets = Budgets(database._settings.model_copy(update={"budgets": without}))
    clients = RedisClients("redis://127.0.0.1:1")
    budgets.connect(clients)
    await budgets.load(database)
    for _ in range(2):
        if admitted:
            assert await reserve(budgets, caller) is None
        else:
            with pytest.raises(Unavailable) as refused:
                await reserve(budgets, caller)
            assert refused.value.code == "budgets_unavailable"
    standing = await budgets.standing(row)
    assert (standing.spent, standing.counted) == (0, False)
    budgets.close()
    await clients.close()


async def test_what_was_let_through_meanwhile_counts_when_the_store_is_back(
    database: Database, caller: Principal, clients: RedisClients
) -> None:
    async with database.transaction(all_tenants=True) as session:
        row = Budget(tenant="acme", window="month", limit_tokens=1000, created_by="usr_0")
        session.add(row)
    open_ = BudgetSettings(without_store="admit")
    budgets = Budgets(database._settings.model_copy(update={"budgets": open_}))
    budgets.connect(clients)
    await budgets.load(database)
    held = await reserve(budgets, caller)
    assert (await budgets.standing(row)).reserved == 10
    clients.reach.failed(ConnectionError())
    assert await reserve(budgets, caller) is None
    held.settle(10, Decimal(0))
    await budgets.settled()
    async with database.transaction(all_tenants=True) as session:
        for number in range(2):
            session.add(LedgerRow(**_entry(request_id=f"req_{number}").row()))
    async with asyncio.timeout(20):
        while clients.reach.away:  # noqa: ASYNC110 - a task in the background finds it
            await asyncio.sleep(0.01)
    assert await reserve(budgets, caller)
    assert (await budgets.standing(row)).spent == 2 * (7 + 5 + 5)
    budgets.close()


def _entry(**more: Any) -> Entry:
    told: dict[str, Any] = {
        "request_id": "req",
        "tenant": "acme",
        "principal": "usr_1",
        "alias": "default",
        "provider": "openai",
        "model": "small",
        "status": "ok",
        "latency_ms": 1.0,
        "tokens": TokenClasses(input=7, cached=5, output=5, reasoning=4),
        "cost_usd": Decimal("0.25"),
        "at": utc_now(),
    }
    return Entry(**(told | more))
