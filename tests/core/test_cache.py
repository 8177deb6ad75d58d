"""The byte cache on a real Valkey: what is kept, how long and how much, who makes what is missing, and life without it."""

import asyncio
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import psutil
import pytest
from redis import Redis
from structlog.testing import capture_logs

from core.cache import NOTHING, Cache, Look, _key
from core.database import keyring_of
from core.errors import Unavailable
from core.redis_clients import RedisClients
from core.settings import Settings

HOUR = 3600.0


@pytest.fixture
async def clients(valkey_url: str) -> AsyncIterator[RedisClients]:
    made = RedisClients(valkey_url)
    yield made
    await made.close()


@pytest.fixture
def cache(clients: RedisClients) -> Cache:
    return Cache(clients, tenant_bytes=10_000)


@pytest.fixture
def tenant() -> str:
    return uuid.uuid4().hex


async def keep(cache: Cache, tenant: str, name: str, value: bytes, ttl_s: float = HOUR) -> bool:
    look = await cache.look(tenant, name)
    return await cache.put(tenant, name, value, ttl_s=ttl_s, epoch=look.epoch)


async def eventually(holds: Any, seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := await holds()):
        assert time.monotonic() < deadline, "the condition did not come to hold"
        await asyncio.sleep(0.02)
    return found


async def test_what_is_kept_is_found_by_its_tenant_alone(cache: Cache, tenant: str) -> None:
    assert await keep(cache, tenant, "a", b"\x00answer")
    assert await cache.get(tenant, "a") == b"\x00answer"
    assert await cache.get(tenant, "b") is None
    assert await cache.get(tenant + "x", "a") is None


async def test_an_entry_goes_when_its_time_is_over(cache: Cache, tenant: str) -> None:
    await keep(cache, tenant, "short", b"x", ttl_s=0.05)
    await keep(cache, tenant, "long", b"x")

    async def gone() -> bool:
        return await cache.get(tenant, "short") is None

    await eventually(gone)
    assert await cache.get(tenant, "long") == b"x"


async def test_a_tenant_never_has_more_than_its_bytes_and_what_would_expire_first_goes_first(cache: Cache, tenant: str) -> None:
    await keep(cache, tenant + "x", "other", b"x" * 5000)
    for number in range(6):
        await keep(cache, tenant, f"e{number}", b"x" * 3000, ttl_s=HOUR + number)
    there = [number for number in range(6) if await cache.get(tenant, f"e{number}")]
    assert there == [3, 4, 5]
    assert await cache.get(tenant + "x", "other"), "another tenant's entries are not touched"


async def test_an_entry_written_again_counts_once(cache: Cache, tenant: str) -> None:
    await keep(cache, tenant, "first", b"x" * 3000)
    for _ in range(10):
        await keep(cache, tenant, "again", b"x" * 3000, ttl_s=HOUR + 60)
    assert await cache.get(tenant, "first"), "nothing had to make room"


async def test_what_expired_by_itself_no_longer_counts(cache: Cache, tenant: str) -> None:
    for number in range(3):
        await keep(cache, tenant, f"short{number}", b"x" * 3000, ttl_s=0.05)

    async def gone() -> bool:
        return not any([await cache.get(tenant, f"short{number}") for number in range(3)])

    await eventually(gone)
    for number in range(3):
        await keep(cache, tenant, f"e{number}", b"x" * 3000)
    assert all([await cache.get(tenant, f"e{number}") for number in range(3)])


async def test_an_entry_larger_than_all_that_a_tenant_may_keep_does_not_stay(cache: Cache, tenant: str) -> None:
    await keep(cache, tenant, "huge", b"x" * 20_000)
    assert await cache.get(tenant, "huge") is None


async def test_records_are_appended_and_the_older_half_makes_room(cache: Cache, tenant: str) -> None:
    epoch = (await cache.look(tenant, "log")).epoch
    for number in range(5):
        assert await cache.append(tenant, "log", b"%04d" % number, ttl_s=HOUR, epoch=epoch, records=4)
    assert await cache.get(tenant, "log") == b"000200030004"


async def test_dropping_a_tenants_entries_leaves_nothing_of_them_and_all_of_the_others(
    cache: Cache, tenant: str, valkey_url: str
) -> None:
    for number in range(3):
        await keep(cache, tenant, f"e{number}", b"secret")
    await keep(cache, tenant + "x", "e0", b"kept")
    assert await cache.drop(tenant) == 3
    assert [await cache.get(tenant, f"e{number}") for number in range(3)] == [None] * 3
    assert await cache.get(tenant + "x", "e0") == b"kept"
    with Redis.from_url(valkey_url) as redis:
        held = [key for key in redis.scan_iter("genai:cache:*") if redis.type(key) == b"string" and b"secret" in redis.get(key)]
    assert held == []
    assert await cache.drop(tenant) == 0


async def test_what_was_begun_before_the_entries_were_dropped_is_not_kept(cache: Cache, tenant: str) -> None:
    begun = await cache.look(tenant, "late")
    await cache.drop(tenant)
    assert not await cache.put(tenant, "late", b"from before", ttl_s=HOUR, epoch=begun.epoch)
    assert await cache.get(tenant, "late") is None
    assert await keep(cache, tenant, "late", b"from after")


async def test_one_of_many_makes_what_is_missing(cache: Cache, tenant: str) -> None:
    looks = await asyncio.gather(*(cache.look(tenant, "a", token=f"t{number}") for number in range(10)))
    assert sorted((look.claimed, look.held) for look in looks) == [(False, True)] * 9 + [(True, False)]


async def test_a_claim_that_is_let_go_of_can_be_taken(cache: Cache, tenant: str) -> None:
    assert (await cache.look(tenant, "a", token="one")).claimed
    await cache.let_go(tenant, "a", "other", kept=True)
    assert (await cache.look(tenant, "a", token="two")).held, "nobody gives up another's claim"
    await cache.let_go(tenant, "a", "one", kept=True)
    assert (await cache.look(tenant, "a", token="two")).claimed


async def test_where_a_maker_came_to_nothing_nobody_waits(cache: Cache, tenant: str) -> None:
    assert (await cache.look(tenant, "a", token="one")).claimed
    await cache.let_go(tenant, "a", "one", kept=False)
    look = await cache.look(tenant, "a", token="two")
    assert (look.claimed, look.held) == (False, False)


async def test_the_claim_of_a_maker_that_died_ends_by_itself(cache: Cache, tenant: str) -> None:
    await cache.look(tenant, "a", token="dead")

    async def taken() -> bool:
        return (await cache.look(tenant, "a", token="next")).claimed

    await eventually(taken)


async def test_a_claim_that_is_renewed_holds(cache: Cache, tenant: str, valkey_url: str) -> None:
    await cache.look(tenant, "a", token="one")
    with Redis.from_url(valkey_url) as redis:
        (key,) = [key for key in redis.scan_iter("genai:cache:*:claim:a") if redis.get(key) == b"one"]
        redis.pexpire(key, 500)
        await cache.renew(tenant, "a", "other")
        assert redis.pttl(key) <= 500
        await cache.renew(tenant, "a", "one")
        assert redis.pttl(key) > 500


async def test_without_a_server_nothing_is_found_kept_or_waited_for_and_it_is_said_once(tenant: str) -> None:
    clients = RedisClients("redis://127.0.0.1:1")
    cache = Cache(clients, tenant_bytes=1000)
    with capture_logs() as logs:
        assert [await cache.look(tenant, "a", token="t") for _ in range(3)] == [NOTHING] * 3
        assert not await cache.put(tenant, "a", b"x", ttl_s=1, epoch=b"")
        await cache.let_go(tenant, "a", "t", kept=False)
    assert [line["event"] for line in logs] == ["redis.away"]
    with pytest.raises(Unavailable) as away:
        await cache.drop(tenant)
    assert away.value.code == "cache_unavailable"
    await clients.close()


async def test_a_frozen_server_costs_one_wait_and_is_used_again_when_it_answers(
    cache: Cache, tenant: str, valkey_url: str
) -> None:
    await keep(cache, tenant, "a", b"x")
    with Redis.from_url(valkey_url) as redis:
        frozen = psutil.Process(int(redis.info("server")["process_id"]))
    with capture_logs() as logs:

        async def told_of_both() -> bool:
            return len(logs) == 2

        frozen.suspend()
        try:
            assert await asyncio.gather(*(cache.look(tenant, "a") for _ in range(20))) == [NOTHING] * 20
            others = RedisClients(valkey_url)
            resting = Cache(others, tenant_bytes=1000)
            assert await resting.look(tenant, "a") == NOTHING
            started = time.monotonic()
            assert [await resting.look(tenant, "a") for _ in range(1000)] == [NOTHING] * 1000
            assert time.monotonic() - started < 60, "a thousand waits of a quarter of a second are more"
            await eventually(told_of_both)
        finally:
            frozen.resume()
        await others.close()

        async def back() -> bool:
            return await cache.get(tenant, "a") == b"x"

        await eventually(back)
    assert [line["event"] for line in logs] == ["redis.away", "redis.away", "redis.back"]


async def test_a_lookup_says_nothing_of_an_epoch_only_where_the_server_was_not_asked(cache: Cache, tenant: str) -> None:
    assert await cache.look(tenant, "a") == Look(None, b"", False, False)
    assert NOTHING.epoch is None


async def test_a_sealed_entry_is_read_under_its_name_by_its_tenant_alone_and_else_is_as_good_as_none(
    clients: RedisClients, tenant: str, settings: Settings, migrated: Callable[[str, Any], Settings]
) -> None:
    shutil.copy(migrated("sqlite", None).path("genai.db"), settings.path("genai.db"))
    cache = Cache(clients, tenant_bytes=10_000, keyring=keyring_of(settings))
    assert await keep(cache, tenant, "a", b"secret")
    assert await keep(cache, tenant, "b", b"other")
    assert await cache.get(tenant, "a") == b"secret"
    raw = clients.get()
    stored = await raw.get(_key(tenant, "a"))
    assert stored is not None
    assert b"secret" not in bytes(stored)
    await raw.set(_key(tenant, "b"), stored)
    await raw.set(_key("another", "a"), stored)
    with capture_logs() as logs:
        assert await cache.get(tenant, "b") is None
        assert await cache.get("another", "a") is None
    assert [(line["event"], line["code"]) for line in logs] == [("cache.unreadable", "decryption_failed")] * 2
    assert await keep(cache, tenant, "b", b"anew")
    assert await cache.get(tenant, "b") == b"anew"
