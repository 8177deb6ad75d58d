"""The ledger's writer: on record before anybody goes on, whatever the database does."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlmodel import select

from core.database import Database
from core.ledger import Entry, Ledger, TokenClasses
from core.ledger import writer as writing
from core.settings import Settings
from core.tables import LedgerRow

LONG_S = 30.0


def entry(request: str = "req_1", **more: Any) -> Entry:
    told: dict[str, Any] = {
        "request_id": request,
        "tenant": "acme",
        "principal": "usr_1",
        "alias": "default",
        "provider": "openai",
        "model": "gpt-4o",
        "status": "ok",
        "latency_ms": 12.5,
        "cost_usd": Decimal("0.000000012345"),
        "tokens": TokenClasses(input=7, cached=5, output=3),
        "tags": {"team": "search"},
    }
    return Entry(**(told | more))


@pytest.fixture
async def ledger(database: Database) -> AsyncIterator[Ledger]:
    opened = Ledger(database._settings, wait_s=LONG_S)
    yield opened
    await asyncio.to_thread(opened.close)


@pytest.fixture
def rows(database: Database) -> Callable[[], Any]:
    async def read() -> list[LedgerRow]:
        async with database.session("acme") as session:
            return list((await session.exec(select(LedgerRow).order_by("request_id"))).all())

    return read


async def test_what_is_settled_is_in_the_database_to_the_last_digit(ledger: Ledger, rows: Any) -> None:
    ledger.record(entry())
    await ledger.settled()
    (row,) = await rows()
    assert (row.cost_usd, row.tags, row.input_tokens, row.cached_tokens) == (
        Decimal("0.000000012345"),
        {"team": "search"},
        7,
        5,
    )
    assert row.at.tzinfo is not None


async def test_many_at_once_are_each_there_once(ledger: Ledger, rows: Any) -> None:
    async def one(number: int) -> None:
        ledger.record(entry(f"req_{number:04}"))
        await ledger.settled()

    await asyncio.gather(*(one(number) for number in range(1_000)))
    assert [row.request_id for row in await rows()] == [f"req_{number:04}" for number in range(1_000)]


async def test_nothing_is_waited_for_where_nothing_is_open(ledger: Ledger) -> None:
    async with asyncio.timeout(LONG_S / 2):
        await ledger.settled()


async def test_a_database_that_is_locked_holds_nobody_up_and_gets_the_rows_later(settings: Settings, migrated: Any) -> None:
    import shutil

    shutil.copy(migrated("sqlite", None).path("genai.db"), settings.path("genai.db"))
    ledger = Ledger(settings, wait_s=0.01)
    with sqlite3.connect(settings.path("genai.db"), isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        for number in range(3):
            ledger.record(entry(f"req_{number}"))
            await ledger.settled()
        spooled = list(settings.path("ledger").glob("*.jsonl"))
        assert len(spooled) == 1
        assert spooled[0].read_bytes().count(b"\n") == 3
        assert spooled[0].stat().st_mode & 0o777 == 0o600
        holder.execute("ROLLBACK")
    await asyncio.to_thread(ledger.close)
    assert _requests(settings) == ["req_0", "req_1", "req_2"]
    assert list(settings.path("ledger").glob("*")) == []


async def test_what_memory_does_not_hold_is_taken_from_the_file(
    settings: Settings, migrated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    shutil.copy(migrated("sqlite", None).path("genai.db"), settings.path("genai.db"))
    monkeypatch.setattr(writing, "_MOST_WAITING", 5)
    ledger = Ledger(settings, wait_s=0.01)
    with sqlite3.connect(settings.path("genai.db"), isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        for number in range(20):
            ledger.record(entry(f"req_{number:02}"))
            await ledger.settled()
        holder.execute("ROLLBACK")
    ledger.record(entry("req_99"))
    await asyncio.to_thread(ledger.close, LONG_S)
    assert _requests(settings) == [*(f"req_{number:02}" for number in range(20)), "req_99"]


async def test_a_row_that_the_database_refuses_keeps_no_other_out_and_is_set_aside(ledger: Ledger, rows: Any) -> None:
    for request, tokens in (("req_1", 1), ("req_2", 2**70), ("req_3", 3)):
        ledger.record(entry(request, tokens=TokenClasses(input=tokens)))
    await ledger.settled()
    assert [row.request_id for row in await rows()] == ["req_1", "req_3"]
    (aside,) = (ledger._directory / "refused.json").read_text().splitlines()
    assert json.loads(aside)["request_id"] == "req_2"
    ledger.record(entry("req_4"))
    await ledger.settled()
    assert [row.request_id for row in await rows()] == ["req_1", "req_3", "req_4"]


KILLED = """
import asyncio, os, signal, sqlite3, sys
from pathlib import Path
from core.ledger import Ledger
from core.settings import Settings
from tests.core.ledger.test_writer import entry

async def main():
    settings = Settings.load(data_dir=Path(sys.argv[1]))
    ledger = Ledger(settings, wait_s=0.01)
    holder = sqlite3.connect(settings.path("genai.db"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    for number in range(10):
        ledger.record(entry(f"req_{number}"))
        await ledger.settled()
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_a_killed_process_had_settled_is_put_on_record_by_the_next(settings: Settings, migrated: Any) -> None:
    import shutil

    shutil.copy(migrated("sqlite", None).path("genai.db"), settings.path("genai.db"))
    killed = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", KILLED, str(settings.data_dir)], check=False, cwd=os.getcwd()
    )
    assert killed.returncode == -signal.SIGKILL
    next_one = Ledger(settings)
    await asyncio.to_thread(next_one.close, LONG_S)
    assert _requests(settings) == [f"req_{number}" for number in range(10)]
    assert list(settings.path("ledger").glob("*.jsonl")) == []


def _requests(settings: Settings) -> list[str]:
    with sqlite3.connect(settings.path("genai.db")) as connection:
        return [row[0] for row in connection.execute("SELECT request_id FROM ledger ORDER BY request_id")]
