"""Of an erased user no word is left in the ledger, and every sum stays what it was."""

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlmodel import func, select

from core.database import Database
from core.ledger import Entry
from core.ledger.erasure import Position, Words
from core.ledger.rollups import roll_up
from core.tables import APIKey, LedgerAdjustment, LedgerRow, Tenant, UsageHour, UsageSpan, User
from tests.core.ledger.test_rollups import BEGIN, BY, TENANTS, holds, put, some_entry

USER, KEY = "usr_0", "key_1"


async def forget(database: Database) -> int:
    words, cleared = Words("acme", USER), 0
    after: Position | None = None
    while True:
        async with database.transaction(all_tenants=True) as session:
            some, after = await words.clear_some(session, after)
        cleared += some
        if after is None:
            return cleared


def forgotten(entry: Entry) -> Entry:
    theirs = entry.tenant == "acme" and (entry.principal == USER or entry.key_id == KEY)
    return replace(entry, session_id=None, tags={}) if theirs else entry


@pytest.fixture
async def theirs(database: Database) -> None:
    async with database.transaction(all_tenants=True) as session:
        session.add_all([Tenant(id=tenant, name=tenant) for tenant in TENANTS])
        await session.flush()
        session.add(User(id=USER, tenant="acme", name="Ada"))
        await session.flush()
        session.add(APIKey(id=KEY, tenant="acme", name="k", role="user", digest="d", hint="h", user_id=USER))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.usefixtures("theirs")
async def test_sums_stay_exact_rolled_up_before_or_after_or_not(
    database: Database, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.ledger.erasure.AT_ONCE", 7)
    chance = random.Random(seed)
    entries = [some_entry(chance) for _ in range(120)]
    await put(database, entries[:90])
    await roll_up(database, at_once=chance.choice([9, 100]), most=chance.choice([60, 90]))
    await put(database, entries[90:100])
    worded = [entry for entry in entries[:100] if forgotten(entry) != entry]
    assert await forget(database) == len(worded) > 20
    left = [forgotten(entry) for entry in entries[:100]]
    for by in BY:
        await holds(database, left, by)
    await roll_up(database, at_once=11)
    late = [forgotten(entry) for entry in entries[100:]]  # of requests that were there before, too
    await put(database, late)
    await roll_up(database)
    for by in BY:
        await holds(database, left + late, by)
    assert await forget(database) == 0


@pytest.mark.usefixtures("theirs")
async def test_no_word_is_left_and_rows_that_only_words_told_apart_are_one(database: Database) -> None:
    entry = some_entry(random.Random(1))
    like = replace(entry, tenant="acme", principal=USER, key_id=None, cache=None, at=BEGIN)
    same = [
        replace(like, id=f"led_{n}", request_id="req_1", session_id="ada@x.example", tags={"person": f"Ada {n}"})
        for n in range(2)
    ]
    await put(database, same)
    await roll_up(database)
    async with database.transaction(all_tenants=True) as session:
        session.add(
            LedgerAdjustment(
                tenant="acme", at=BEGIN, cost_usd=Decimal(1), reason="r", principal=USER, tags={"person": "Ada"}, created_by="x"
            )
        )
        named = {"principal": USER, "session_id": "my divorce"}
        session.add(LedgerAdjustment(tenant="acme", at=BEGIN, cost_usd=Decimal(1), reason="r", created_by="x", **named))
        session.add(
            LedgerAdjustment(
                tenant="acme", at=BEGIN, cost_usd=Decimal(1), reason="r", principal="usr_1", tags={"a": "b"}, created_by="x"
            )
        )
        assert len((await session.exec(select(UsageSpan))).all()) == 2
    assert await forget(database) == 2
    async with database.transaction(all_tenants=True) as session:
        assert await Words("acme", USER).clear_adjustments(session) == 2
    assert await roll_up(database) == 2
    async with database.session(all_tenants=True) as session:
        (hour,) = (await session.exec(select(UsageHour))).all()
        assert (hour.entries, hour.requests, hour.tags) == (2, 1, {})
        rows = (await session.exec(select(LedgerRow))).all()
        assert [(row.session_id, row.tags, row.rolled) for row in rows] == [(None, {}, True)] * 2
        assert (await session.exec(select(func.count()).select_from(UsageSpan))).one() == 0
        tags = {row.principal: row.tags for row in (await session.exec(select(LedgerAdjustment))).all()}
        assert tags == {USER: {}, "usr_1": {"a": "b"}}
        assert set((await session.exec(select(LedgerAdjustment.session_id))).all()) == {None}


@pytest.mark.usefixtures("theirs")
async def test_a_pass_that_has_read_words_by_then_does_not_hold(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(some_entry(random.Random(2)), tenant="acme", principal=USER, tags={"person": "Ada"})
    await put(database, [entry])
    from core.ledger import rollups

    read = rollups._counted

    async def meanwhile(*arguments: object) -> object:
        found = await read(*arguments)  # type: ignore[arg-type]
        await forget(database)
        return found

    monkeypatch.setattr(rollups, "_counted", meanwhile)
    await roll_up(database)
    monkeypatch.undo()
    await roll_up(database)
    async with database.session(all_tenants=True) as session:
        assert [row.tags for row in (await session.exec(select(UsageHour))).all()] == [{}]
