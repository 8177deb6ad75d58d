"""Rolled up or not, late or not, in whichever order: a report gives the sums of the ledger, to the last digit."""

import asyncio
import random
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import func, select

from core.database import Database
from core.ledger import Entry, Ledger, TokenClasses
from core.ledger.rollups import roll_up
from core.ledger.usage import Line, Question, analyse, usage
from core.settings import Settings
from core.tables import LedgerRow, UsageHour, UsageSpan

BEGIN = datetime(2026, 2, 27, 22, tzinfo=UTC)
TENANTS = ("acme", "umbrella")
BY = (
    ("provider",),
    ("principal", "day"),
    ("alias", "model", "status"),
    ("hour",),
    ("week", "cache"),
    ("month", "tag:team"),
    ("session_id",),
    ("key_id", "capability", "price_basis"),
    ("version", "key_id"),
    (),
)


def some_entry(chance: random.Random) -> Entry:
    """Few values of each kind, so that much falls together: requests with several entries, in one hour and in several."""
    cached = chance.random() < 0.1
    return Entry(
        request_id=f"req_{chance.randrange(40)}",
        tenant=chance.choice(TENANTS),
        principal=f"usr_{chance.randrange(2)}",
        key_id=chance.choice([None, "key_1"]),
        alias=chance.choice(["default", "cheap"]),
        provider=chance.choice(["openai", "bedrock"]),
        model=chance.choice(["small", "large"]),
        capability="chat",
        teams=chance.choice([None, "", "team_a,team_b"]),
        version=chance.choice([None, "aa", "bb"]),
        saved_tokens=chance.randrange(9) if cached else 0,
        saved_usd=Decimal(chance.randrange(10**9)).scaleb(-12) if cached else None,
        session_id=chance.choice([None, "s1", "s2"]),
        tags=chance.choice([{}, {"team": "search"}, {"team": "ads", "feature": "ä"}]),
        status=chance.choice(["ok", "ok", "timeout"]),
        cache="hit" if cached else None,
        estimated=chance.random() < 0.2,
        latency_ms=0.0 if cached else chance.randrange(1, 5000) / 4,
        first_token_ms=chance.choice([None, 12.5, 700.25]),
        tokens=TokenClasses(
            **{name: chance.randrange(1000) for name in ("input", "cached", "cache_write", "output", "reasoning")}
        ),
        cost_usd=chance.choice([None, Decimal(0), Decimal(chance.randrange(10**9)).scaleb(-12)]),
        at=BEGIN + timedelta(minutes=chance.randrange(60 * 60)),
    )


def added_up(entries: Sequence[Entry], by: Sequence[str]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """What the report has to give."""
    groups: dict[tuple[Any, ...], list[Entry]] = {(): []} if not by else {}
    for entry in entries:
        groups.setdefault(tuple(_value(entry, name) for name in by), []).append(entry)
    return {group: _sums(found) for group, found in groups.items()}


def _sums(found: Sequence[Entry]) -> tuple[Any, ...]:
    called = [entry for entry in found if entry.cache is None]
    return (
        len({entry.request_id for entry in found}),
        len(called),
        sum(entry.status != "ok" for entry in called),
        len(found) - len(called),
        sum(entry.estimated for entry in found),
        sum(entry.cost_usd is None for entry in found),
        sum((entry.cost_usd or Decimal(0) for entry in found), Decimal(0)),
        *(sum(getattr(entry.tokens, name) for entry in found) for name in ("input", "cached", "cache_write", "output")),
        round(sum(entry.latency_ms for entry in called) / len(called), 6) if called else None,
    )


def told(line: Line) -> tuple[Any, ...]:
    tokens = (line.tokens[name] for name in ("input", "cached", "cache_write", "output"))
    counts = (line.requests, line.attempts, line.failed, line.cached, line.estimated, line.unpriced, line.cost_usd)
    return (*counts, *tokens, None if line.latency_ms is None else round(line.latency_ms, 6))


def _value(entry: Entry, name: str) -> str | None:
    at = entry.at
    if name == "week":
        return f"{at - timedelta(days=at.weekday()):%Y-%m-%d}"
    grains = {"hour": "%Y-%m-%dT%H:00:00Z", "day": "%Y-%m-%d", "month": "%Y-%m"}
    if name in grains:
        return at.strftime(grains[name])
    if name.startswith("tag:"):
        return entry.tags.get(name.removeprefix("tag:"))
    found: str | None = getattr(entry, name)
    return found


async def put(database: Database, entries: Sequence[Entry]) -> None:
    async with database.transaction(all_tenants=True) as session:
        session.add_all([LedgerRow(**entry.row()) for entry in entries])


async def holds(database: Database, entries: Sequence[Entry], by: Sequence[str], since: Any = None, until: Any = None) -> None:
    inside = [one for one in entries if (since is None or one.at >= since) and (until is None or one.at < until)]
    for tenant in TENANTS:
        wanted = added_up([one for one in inside if one.tenant == tenant], by)
        for lines in (
            await usage(database, tenant, by, since, until),
            await analyse(database, Question(tenant, by, since, until, order="group")),
        ):
            assert {tuple(line.group.values()): told(line) for line in lines} == wanted, (tenant, by, since, until)


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_is_rolled_up_when_the_sums_are_the_ledger_s(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    entries: list[Entry] = []
    for _ in range(4):
        late = [some_entry(chance) for _ in range(chance.randrange(30))]
        await put(database, late)
        entries += late
        if chance.random() < 0.6:
            await roll_up(database, at_once=chance.choice([1, 7, 100]))
        for _ in range(2):
            since, until = sorted(BEGIN + timedelta(minutes=chance.randrange(60 * 60)) for _ in range(2))
            await holds(database, entries, chance.choice(BY), chance.choice([None, since]), chance.choice([None, until]))
    for by in BY:
        await holds(database, entries, by)
    await roll_up(database)
    for by in BY[:3]:
        await holds(database, entries, by)


async def test_two_writers_and_two_that_roll_up_at_once_count_everything_once(database: Database) -> None:
    chance = random.Random(7)
    books = [Ledger(database._settings, wait_s=30.0) for _ in range(2)]
    entries = [some_entry(chance) for _ in range(300)]
    running = True

    async def rolls() -> None:
        other = Database(database._settings)
        while running:
            await roll_up(other, at_once=20)
            await asyncio.sleep(0)
        await other.close()

    async def writes(book: Ledger, mine: Sequence[Entry]) -> None:
        for entry in mine:
            book.record(entry)
            await book.settled()

    try:
        both = [asyncio.create_task(rolls()) for _ in range(2)]
        await asyncio.gather(writes(books[0], entries[::2]), writes(books[1], entries[1::2]))
        await holds(database, entries, ("provider", "status"))
        running = False
        await asyncio.gather(*both)
    finally:
        for book in books:
            await asyncio.to_thread(book.close)
    await roll_up(database)
    for by in BY[:3]:
        await holds(database, entries, by)
    async with database.session(all_tenants=True) as session:
        assert (await session.exec(select(func.count()).where(~LedgerRow.rolled))).one() == 0  # type: ignore[operator]


@pytest.mark.parametrize("step", [0, 2, 4])
async def test_a_pass_that_ends_in_its_middle_leaves_nothing(database: Database, step: int) -> None:
    """Whichever statement it was."""
    chance = random.Random(step)
    entries = [some_entry(chance) for _ in range(60)]
    await put(database, entries[:30])
    await roll_up(database)
    await put(database, entries[30:])
    writes = 0

    def cut(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal writes
        writes += statement.startswith(("UPDATE", "INSERT"))
        if writes > step:
            raise KeyboardInterrupt

    event.listen(database.engine.sync_engine, "before_cursor_execute", cut)
    with pytest.raises(KeyboardInterrupt):
        await roll_up(database)
    event.remove(database.engine.sync_engine, "before_cursor_execute", cut)
    await holds(database, entries, ("alias", "model", "status"))
    assert await roll_up(database) == 30
    await holds(database, entries, ("alias", "model", "status"))


async def test_rolling_up_again_adds_nothing(database: Database) -> None:
    entries = [some_entry(random.Random(3)) for _ in range(10)]
    await put(database, entries)
    assert await roll_up(database) == 10
    assert await roll_up(database) == 0
    async with database.session(all_tenants=True) as session:
        (hour,) = (await session.exec(select(UsageHour))).all()
        assert (hour.entries, hour.requests) == (10, 1)
        assert (await session.exec(select(UsageSpan))).all() == []


KILLED = """
import asyncio, sys
from pathlib import Path
from core.database import Database
from core.ledger.rollups import roll_up
from core.settings import Settings

async def main():
    database = Database(Settings.load(data_dir=Path(sys.argv[1])))
    while True:
        print(await roll_up(database, at_once=1, most=5), flush=True)

asyncio.run(main())
"""


async def test_what_a_killed_job_had_begun_is_counted_once(settings: Settings, migrated: Any) -> None:
    shutil.copy(migrated("sqlite", None).path("genai.db"), settings.path("genai.db"))
    database = Database(settings)
    chance = random.Random(11)
    entries = [some_entry(chance) for _ in range(60)]
    await put(database, entries)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(settings.data_dir), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"5\n"
    process.kill()
    await process.wait()
    await holds(database, entries, ("provider", "status"))
    assert 0 < await roll_up(database) < 60
    await holds(database, entries, ("provider", "status"))
    await database.close()
