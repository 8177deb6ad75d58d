"""Budgets on a real Valkey and real databases: room is given out once, and comes back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core import alerts
from core.alerts import Alert
from core.budget_settings import BudgetSettings
from core.budgets import Budgets, Degraded, Spending
from core.budgets.rules import Rule
from core.budgets.windows import milliseconds
from core.database import Database, utc_now
from core.errors import BudgetExceeded, Unavailable
from core.ledger import Entry, TokenClasses
from core.principals import SYSTEM, Principal
from core.redis_clients import RedisClients
from core.tables import APIKey, Budget, LedgerRow, Team, TeamMember, Tenant, User

HOLD_S = 60.0


@pytest.fixture
async def clients(valkey_url: str) -> AsyncIterator[RedisClients]:
    opened = RedisClients(valkey_url, wait_s=5)  # a machine that does much else is late at everything
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


def spending(tokens: int, usd: str = "0", *, at: datetime | None = None) -> Spending:
    return Spending(at or utc_now(), tokens, Decimal(usd))


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
            hold.settle(spending(10))
    await budgets.settled()
    standing = await budgets.standing(row)
    assert (standing.spent, standing.reserved) == (500, 0)


async def test_what_was_not_used_comes_back(budgets: Budgets, caller: Principal, limit: Any) -> None:
    row = await limit(limit_usd=Decimal("0.01"))
    hold = await reserve(budgets, caller)
    with pytest.raises(BudgetExceeded) as refused:
        await reserve(budgets, caller)
    assert (refused.value.retry_after_s or 0) > 0
    hold.settle(spending(3, "0.0000000001"))
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


@pytest.fixture
async def told(budgets: Budgets) -> AsyncIterator[list[Alert]]:
    """What is told of budgets."""
    found: list[Alert] = []
    routes = alerts.alerts().routes
    routes.append(found.append)
    yield found
    routes.remove(found.append)


async def test_a_soft_budget_is_told_of_and_refuses_nobody(
    budgets: Budgets, caller: Principal, limit: Any, told: list[Alert]
) -> None:
    await limit(limit_tokens=20, mode="soft")
    for _ in range(3):
        (await reserve(budgets, caller)).settle(spending(10))
        await budgets.settled()
    await alerts.alerts().settled()
    assert [alert.facts["share"] for alert in told] == [0.5, 1.0]


async def test_what_is_reserved_or_refused_is_not_told_of_as_spent(
    budgets: Budgets, caller: Principal, limit: Any, told: list[Alert]
) -> None:
    await limit(limit_tokens=20)
    hold = await reserve(budgets, caller, tokens=20)
    with pytest.raises(BudgetExceeded):
        await reserve(budgets, caller, tokens=1)
    hold.settle(spending(3))
    await budgets.settled()
    await alerts.alerts().settled()
    assert told == []


async def test_more_is_reserved_where_there_is_room_and_all_of_it_comes_back(
    budgets: Budgets, caller: Principal, limit: Any
) -> None:
    row = await limit(limit_tokens=30)
    hold = await reserve(budgets, caller)
    assert await budgets.reserve_more((hold,), 10, Decimal(0), HOLD_S) is None, "it is reserved"
    more = await budgets.reserve_more((hold,), 25, Decimal(0), HOLD_S)
    assert more is not None
    assert (await budgets.standing(row)).reserved == 25
    with pytest.raises(BudgetExceeded):
        await budgets.reserve_more((hold, more), 31, Decimal(0), HOLD_S)
    hold.settle(spending(9), spending(8))
    more.settle()
    await budgets.settled()
    standing = await budgets.standing(row)
    assert (standing.spent, standing.reserved) == (17, 0)


async def test_no_more_is_reserved_where_the_store_is_away(
    budgets: Budgets, caller: Principal, limit: Any, clients: RedisClients
) -> None:
    await limit(limit_tokens=30)
    hold = await reserve(budgets, caller)
    clients.reach.failed(ConnectionError())
    with pytest.raises(Unavailable) as refused:
        await budgets.reserve_more((hold,), 25, Decimal(0), HOLD_S)
    assert refused.value.code == "budgets_unavailable"


class Late:
    """A budget whose counter knows of some spending that the ledger has, and not of other."""

    def __init__(self, database: Database, budgets: Budgets, row: Budget) -> None:
        self.database, self.budgets, self.row = database, budgets, row

    async def enter(self, *, ago_s: float, number: int = 1) -> None:
        """Put something in the ledger, and settle nothing: as a process does that is killed between."""
        rows = [_entry(request_id=f"req_{n}", at=utc_now() - timedelta(seconds=ago_s)).row() for n in range(number)]
        async with self.database.transaction(all_tenants=True) as session:
            session.add_all([LedgerRow(**row) for row in rows])

    async def spent(self, budgets: Budgets | None = None) -> int:
        return int((await (budgets or self.budgets).standing(self.row)).spent)


#: The tokens of an entry.
ENTRY = 7 + 5 + 5


@pytest.fixture
async def late(
    database: Database, budgets: Budgets, limit: Any, caller: Principal, clients: RedisClients, window: str, again: int
) -> Late:
    made = Late(database, budgets, await limit(limit_tokens=1_000, window=window))
    await made.enter(ago_s=120)
    assert await made.spent() == ENTRY
    # as if that had been a minute ago, and all of it was compared since
    compared = {"until": milliseconds(utc_now()) - 60_000, "again": again}
    await clients.get().hset(Rule.of(made.row).counter, mapping=compared)
    return made


def windows(test: Any) -> Any:
    """Over both kinds of windows, compared from where the last comparison ended and all of it again."""
    return pytest.mark.parametrize("window", ["month", "24h"])(pytest.mark.parametrize("again", [0, 1])(test))


@windows
async def test_what_a_killed_process_did_not_settle_is_found_in_the_ledger_once_by_however_many(
    late: Late, database: Database, clients: RedisClients, caller: Principal
) -> None:
    await late.enter(ago_s=30, number=3)
    others = [Budgets(database._settings) for _ in range(4)]
    for each in others:
        each.connect(clients)
    found = await asyncio.gather(*(late.spent(each) for each in (*others, *others)))
    assert set(found) == {4 * ENTRY}
    for each in others:
        each.close()


@windows
async def test_what_the_ledger_may_not_have_yet_is_found_later(late: Late, monkeypatch: pytest.MonkeyPatch) -> None:
    await late.enter(ago_s=1)
    assert await late.spent() == ENTRY
    later = utc_now() + timedelta(seconds=15)
    monkeypatch.setattr("core.budgets.budgets.utc_now", lambda: later)
    assert await late.spent() == 2 * ENTRY


@windows
async def test_what_is_settled_is_not_counted_again_by_a_comparison(
    late: Late, caller: Principal, clients: RedisClients
) -> None:
    for ago_s in (50, 30, 12, 1):
        hold = await reserve(late.budgets, caller)
        await late.enter(ago_s=ago_s)
        hold.settle(spending(ENTRY, at=utc_now() - timedelta(seconds=ago_s)))
    await late.budgets.settled()
    await late.enter(ago_s=31)
    assert await late.spent() == 6 * ENTRY
    assert await late.spent() == 6 * ENTRY


@windows
async def test_what_is_settled_after_it_was_found_in_the_ledger_counts_once(late: Late, caller: Principal) -> None:
    hold = await reserve(late.budgets, caller)
    await late.enter(ago_s=30)
    assert await late.spent() == 2 * ENTRY
    hold.settle(spending(ENTRY, at=utc_now() - timedelta(seconds=30)), spending(3))
    await late.budgets.settled()
    standing = await late.budgets.standing(late.row)
    assert (standing.spent, standing.reserved) == (2 * ENTRY + 3, 0)


@windows
async def test_what_the_ledger_has_later_than_the_counter_is_not_taken_back(late: Late, caller: Principal) -> None:
    hold = await reserve(late.budgets, caller)
    hold.settle(spending(50, at=utc_now() - timedelta(seconds=30)))
    await late.budgets.settled()
    await late.enter(ago_s=29)
    assert await late.spent() == 50 + ENTRY


@pytest.mark.parametrize("window", ["month"])
@pytest.mark.parametrize("again", [0])
async def test_a_budget_that_was_compared_lately_is_not_compared_again_where_that_is_enough(late: Late) -> None:
    await late.enter(ago_s=30)
    assert (await late.budgets.standing(late.row, compared_s=90)).spent == ENTRY
    assert (await late.budgets.standing(late.row, compared_s=20)).spent == 2 * ENTRY


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


async def test_what_has_no_price_goes_to_the_cheaper_alias_where_a_budget_names_one(
    budgets: Budgets, caller: Principal, limit: Any
) -> None:
    await limit(limit_usd=Decimal(1))
    await limit(limit_usd=Decimal(1), mode="degrade", degrade_to="small")
    with pytest.raises(Degraded) as degraded:
        await reserve(budgets, caller, usd=None)
    assert (degraded.value.alias, degraded.value.otherwise.code) == ("small", "budget_unpriced")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            {"limit_usd": Decimal("0.009")},
            "may come to $0.01, more than the whole budget 'all', which is $0.009. Ask for fewer",
        ),
        ({"limit_tokens": 9}, "may come to 10 tokens, more than the whole budget 'all', which is 9 tokens."),
    ],
)
@pytest.mark.parametrize("window", ["month", "24h"])
async def test_a_request_that_is_larger_than_the_budget_is_not_told_to_come_again(
    budgets: Budgets, caller: Principal, limit: Any, window: str, told: dict[str, Any], words: str
) -> None:
    await limit(name="all", window=window, **told)
    with pytest.raises(BudgetExceeded) as refused:
        await reserve(budgets, caller)
    assert words in refused.value.message
    assert (refused.value.code, refused.value.retry_after_s) == ("budget_exceeded", None)


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
    assert (standing.spent, standing.reserved, standing.counted) == (0, None, False)
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
    held.settle(spending(10))
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


async def _rotated(database: Database, line: dict[str, str | None]) -> None:
    """Keys, each with the first of those that it took the place of."""
    async with database.transaction(all_tenants=True) as session:
        session.add(Tenant(id="acme", name="Acme"))
        await session.flush()
        session.add_all(
            APIKey(id=key, tenant="acme", name="app", digest=f"digest {key}", stands_for=first) for key, first in line.items()
        )


async def test_what_a_team_has_spent_is_its_own_whoever_is_in_it_now(
    database: Database, budgets: Budgets, caller: Principal, limit: Any
) -> None:
    told = ({"teams": "team_0,team_1"}, {"teams": "team_1", "principal": "usr_2"}, {"teams": ""}, {"teams": "team_2"}, {})
    async with database.transaction(all_tenants=True) as session:
        session.add_all([Tenant(id="acme", name="Acme"), User(id="usr_1", tenant="acme", name="Ada")])
        session.add_all([LedgerRow(**_entry(**each).row()) for each in told])
        await session.flush()
        session.add_all([Team(id=team, tenant="acme", name=team) for team in ("team_1", "team_2")])
        await session.flush()
        session.add(TeamMember(team_id="team_2", user_id="usr_1"))
    one, two = await limit(limit_usd=Decimal(9), team="team_1"), await limit(limit_usd=Decimal(9), team="team_2")
    assert (await budgets.standing(one)).spent == Decimal("0.5"), "of both who were in it, and of nobody who is"
    assert (await budgets.standing(two)).spent == Decimal("0.5"), "its own, and what does not know its teams"


@pytest.mark.parametrize("named", ["key_1", "key_2", "key_3"])
async def test_a_key_that_is_rotated_keeps_its_budgets(
    database: Database, budgets: Budgets, caller: Principal, limit: Any, named: str
) -> None:
    await _rotated(database, {"key_1": None, "key_2": "key_1", "key_3": "key_1", "key_4": None})
    row = await limit(limit_tokens=30, key=named)
    line = [caller, *(replace(caller, key_id=key, stands_for="key_1") for key in ("key_2", "key_3"))]
    for each in line:
        await reserve(budgets, each)
    for each in line:
        with pytest.raises(BudgetExceeded):
            await reserve(budgets, each)
    assert (await budgets.standing(row)).reserved == 30
    assert await reserve(budgets, replace(caller, key_id="key_4")) is not None


async def test_what_a_rotated_key_has_spent_is_found_again_in_the_ledger(
    database: Database, budgets: Budgets, limit: Any
) -> None:
    await _rotated(database, {"key_1": None, "key_2": "key_1", "key_4": None})
    async with database.transaction(all_tenants=True) as session:
        session.add_all([LedgerRow(**_entry(key_id=key, principal="key_1").row()) for key in ("key_1", "key_2", "key_4")])
    for scope, spent in (({"key": "key_1"}, "0.5"), ({"key": "key_2"}, "0.5"), ({"key": "key_4"}, "0.25")):
        assert (await budgets.standing(await limit(limit_usd=Decimal(9), **scope))).spent == Decimal(spent), scope
    for user in ("key_1", "key_2"):
        row = await limit(limit_usd=Decimal(9), user=user)
        assert (await budgets.standing(row)).spent == Decimal("0.75"), "a key that is nobody's is known by its first"


async def test_a_limit_for_a_key_in_its_users_name_holds_for_the_first_of_its_line(
    database: Database, budgets: Budgets, caller: Principal, limit: Any
) -> None:
    await _rotated(database, {"key_1": None, "key_2": "key_1"})
    await limit(limit_tokens=100, user="key_2")
    assert len(budgets.of(replace(caller, id="key_1", key_id="key_2", stands_for="key_1"), "default")) == 1
