"""Rate limits on a real Valkey: requests, tokens and what goes on at once, counted by all processes together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.budgets import Budgets, Spending
from core.budgets import budgets as module
from core.context import RequestContext, serving
from core.database import Database, utc_now
from core.errors import BudgetExceeded, RateLimited, Unavailable
from core.principals import SYSTEM, Principal
from core.redis_clients import RedisClients
from core.tables import Budget, RateLimit

HOLD_S = 60.0


def spending(tokens: int) -> Spending:
    return Spending(utc_now(), tokens, Decimal(0))


@pytest.fixture
async def clients(valkey_url: str) -> AsyncIterator[RedisClients]:
    made = RedisClients(valkey_url, wait_s=5)  # a machine that does much else is late at everything
    await made.get().flushall()
    yield made
    await made.close()


@pytest.fixture
async def budgets(database: Database, clients: RedisClients) -> AsyncIterator[Budgets]:
    made = Budgets(database._settings)
    made.connect(clients)
    yield made
    await made.settled()
    made.close()


@pytest.fixture
def limit(database: Database, budgets: Budgets) -> Callable[..., Any]:
    async def make(**told: Any) -> RateLimit:
        row = RateLimit(**({"tenant": "acme", "created_by": "usr_0"} | told))
        async with database.transaction(all_tenants=True) as session:
            session.add(row)
        await budgets.load(database)
        return row

    return make


@pytest.fixture
def caller() -> Principal:
    return replace(SYSTEM, id="usr_1", tenant="acme", key_id="key_1")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the time that requests are counted at."""
    begun, moved = utc_now(), timedelta()

    def now() -> datetime:
        return begun + moved

    def on(seconds: float) -> None:
        nonlocal moved
        moved += timedelta(seconds=seconds)

    monkeypatch.setattr(module, "utc_now", now)
    return on


async def reserve(budgets: Budgets, caller: Principal, tokens: int = 10, **more: Any) -> Any:
    return await budgets.reserve(budgets.of(caller, "default"), tokens, Decimal("0.01"), HOLD_S, **more)


async def refused(budgets: Budgets, caller: Principal, **more: Any) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        await reserve(budgets, caller, **more)
    return caught.value


async def test_so_many_requests_in_any_window_and_no_more_however_many_ask_at_once(
    budgets: Budgets, caller: Principal, limit: Any, clock: Any
) -> None:
    await limit(requests=20, window="1m")
    answers = await asyncio.gather(*(reserve(budgets, caller) for _ in range(100)), return_exceptions=True)
    assert sum(not isinstance(answer, Exception) for answer in answers) == 20
    clock(30)
    error = await refused(budgets, caller)
    assert 25 <= (error.retry_after_s or 0) <= 62
    clock(error.retry_after_s)
    assert await reserve(budgets, caller), "whoever comes back when they were told to is let in"


async def test_requests_that_end_make_no_room_and_those_that_go_on_take_none_of_the_next_window(
    budgets: Budgets, caller: Principal, limit: Any, clock: Any
) -> None:
    await limit(requests=1, window="10s")
    hold = await reserve(budgets, caller)
    hold.settle(spending(5))
    await budgets.settled()
    await refused(budgets, caller)
    clock(12)
    await reserve(budgets, caller)
    clock(12)
    assert await reserve(budgets, caller), "the one before is still being answered"


async def test_tokens_are_corrected_by_what_was_used(budgets: Budgets, caller: Principal, limit: Any, clock: Any) -> None:
    await limit(tokens=100, window="1m")
    hold = await reserve(budgets, caller, tokens=60)
    await refused(budgets, caller, tokens=60)
    hold.settle(spending(5))
    await budgets.settled()
    hold = await reserve(budgets, caller, tokens=60)
    hold.settle(spending(300))
    await budgets.settled()
    await refused(budgets, caller, tokens=1)
    clock(62)
    assert await reserve(budgets, caller, tokens=100)


async def test_an_estimate_never_shuts_anybody_out_and_what_can_never_fit_is_told_at_once(
    budgets: Budgets, caller: Principal, limit: Any
) -> None:
    await limit(tokens=100)
    error = await refused(budgets, caller, tokens=150, at_least=150)
    assert (error.code, error.retry_after_s) == ("request_over_rate_limit", None)
    assert await reserve(budgets, caller, tokens=4_000, at_least=20)
    await refused(budgets, caller, tokens=1)


async def test_so_many_at_once(budgets: Budgets, caller: Principal, limit: Any) -> None:
    await limit(concurrent=2)
    first = await reserve(budgets, caller)
    await reserve(budgets, caller)
    assert (await refused(budgets, caller)).retry_after_s == 1
    first.settle(spending(10))
    await budgets.settled()
    assert await reserve(budgets, caller)


async def test_each_counts_everybody_apart(budgets: Budgets, caller: Principal, limit: Any) -> None:
    await limit(requests=1, each="key")
    people = [replace(caller, id=name, key_id=None) for name in ("usr_2", "usr_3")]
    for one in (caller, replace(caller, key_id="key_2"), *people):
        assert await reserve(budgets, one)
        await refused(budgets, one)
    assert await reserve(budgets, replace(caller, tenant="umbrella", key_id="key_3")) is not None


async def test_a_key_and_the_one_in_its_place_are_counted_as_one(budgets: Budgets, caller: Principal, limit: Any) -> None:
    await limit(requests=1, each="key")
    assert await reserve(budgets, caller)
    await refused(budgets, replace(caller, key_id="key_2", stands_for="key_1"))


async def test_a_refused_request_counts_nowhere(database: Database, budgets: Budgets, caller: Principal, limit: Any) -> None:
    async with database.transaction(all_tenants=True) as session:
        session.add(Budget(tenant="acme", window="month", limit_tokens=15, created_by="usr_0"))
    await limit(requests=2)
    assert await reserve(budgets, caller)
    for _ in range(3):
        with pytest.raises(BudgetExceeded):
            await reserve(budgets, caller)
    assert await reserve(budgets, caller, tokens=5), "the second of two"


async def test_what_is_left_is_told(budgets: Budgets, caller: Principal, limit: Any) -> None:
    await limit(requests=10, tokens=1_000, concurrent=4)
    await limit(requests=3, window="10s", each="key")
    with serving(RequestContext(request_id="req_1", principal=caller)) as request:
        await reserve(budgets, caller, tokens=100)
    told = {each.unit: (each.limit, each.left, each.window_s) for each in request.allowances}
    assert told == {"requests": (3, 2, 10), "tokens": (1_000, 900, 60), "concurrent": (4, 3, None)}


@pytest.mark.parametrize("choice", ["process", "admit", "refuse"])
async def test_without_the_server_that_counts_the_settings_say_what_happens(
    database: Database, caller: Principal, limit: Any, budgets: Budgets, choice: str
) -> None:
    await limit(requests=2, window="1h")
    settings = database._settings
    chosen = settings.budgets.model_copy(update={"rate_limits_without_store": choice})
    alone = Budgets(settings.model_copy(update={"budgets": chosen}))
    clients = RedisClients("redis://127.0.0.1:1/0")
    alone.connect(clients)
    await alone.load(database)
    answers = await asyncio.gather(*(reserve(alone, caller) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == {
        "process": [type(None), type(None), RateLimited],
        "admit": [type(None)] * 3,
        "refuse": [Unavailable] * 3,
    }[choice]
    await clients.close()
    alone.close()


async def test_what_no_longer_counts_is_dropped_from_its_counter(
    budgets: Budgets, caller: Principal, limit: Any, clock: Any, clients: RedisClients
) -> None:
    await limit(tokens=1000, window="1m")
    (rule,) = budgets.of(caller, "default")
    for _ in range(10):
        (await reserve(budgets, caller)).settle(Spending(utc_now(), 10, Decimal(0)))
        await budgets.settled()
        clock(20)
    kept = await clients.get().hgetall(rule.counter)
    assert kept[b"sum"] == b"40", "of the last minute, with a step more"
    assert sum(name.isdigit() for name in kept) == 4
    assert kept[b"held"] == b"0"


async def test_what_is_settled_after_its_window_counts_no_more(
    budgets: Budgets, caller: Principal, limit: Any, clock: Any
) -> None:
    await limit(tokens=100, window="10s")
    late = await reserve(budgets, caller, tokens=60)
    clock(30)
    now = await reserve(budgets, caller, tokens=40)
    late.settle(Spending(utc_now(), 60, Decimal(0)))
    now.settle(Spending(utc_now(), 40, Decimal(0)))
    await budgets.settled()
    assert await reserve(budgets, caller, tokens=60)
    await refused(budgets, caller)


async def test_a_reservation_never_outlives_its_counter(
    budgets: Budgets, caller: Principal, limit: Any, clients: RedisClients
) -> None:
    await limit(tokens=1000, window="10s")
    (rule,) = budgets.of(caller, "default")
    redis = clients.get()
    for _ in range(2):
        hold = await reserve(budgets, caller)
        counter, held = await redis.pexpiretime(rule.counter), await redis.pexpiretime(f"{rule.counter}:held")
        assert 0 < held <= counter
        assert await redis.pttl(rule.counter) > HOLD_S * 1000
        hold.settle(Spending(utc_now(), 5, Decimal(0)))
        await budgets.settled()
