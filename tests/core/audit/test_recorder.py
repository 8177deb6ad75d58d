"""Events without a transaction: written by a thread, counted when they repeat, kept while the database is away."""

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import select
from structlog.testing import capture_logs

from core import audit
from core.database import Database, migrate
from core.principals import SYSTEM
from core.settings import Settings
from core.tables import AuditEvent
from tests.core.audit.conftest import Verify, write


@pytest.fixture
def shared(database: Database, settings: Settings) -> Settings:
    """Settings that lead to the test's database."""
    url = database.engine.url.render_as_string(hide_password=False)
    return settings if database.is_sqlite else Settings.load(data_dir=Path(settings.data_dir), database_url=url)


@pytest.fixture
def recorder(shared: Settings) -> Iterator[audit.Recorder]:
    recorder = audit.Recorder(shared)
    audit.connect(recorder)
    yield recorder
    audit.connect(None)
    recorder.close()


def _deny(number: int) -> None:
    audit.note(audit.Action.SCOPE_DENIED, on=("scope", f"s{number}"), principal=SYSTEM)


async def _events(database: Database) -> list[AuditEvent]:
    async with database.session(all_tenants=True) as session:
        return list((await session.exec(select(AuditEvent).order_by(AuditEvent.number))).all())  # type: ignore[arg-type]


async def _eventually(database: Database, events: int) -> list[AuditEvent]:
    deadline = time.monotonic() + 30
    while len(found := await _events(database)) < events:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    return found


async def test_what_is_noted_is_on_record_without_anybody_waiting(database: Database, recorder: audit.Recorder) -> None:
    _deny(1)
    (row,) = await _eventually(database, 1)
    assert (row.action, row.outcome, row.object_id, row.actor) == ("scope.denied", "denied", "s1", "system")


async def test_from_many_threads_beside_acts_it_is_one_chain(
    database: Database, recorder: audit.Recorder, verified: Verify
) -> None:
    threads = [threading.Thread(target=lambda: [_deny(number) for number in range(20)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    await write(database, 10, tenant="default")
    await asyncio.to_thread(lambda: [thread.join() for thread in threads])
    await asyncio.to_thread(recorder.close)
    found = await verified()
    assert found["default"].broken is None
    denied = [row for row in await _events(database) if row.action == "scope.denied"]
    assert {row.object_id for row in denied} == {f"s{number}" for number in range(20)}
    assert sum(row.details.get("repeated", 1) for row in denied) == 60


async def test_closing_writes_what_was_counted(database: Database, recorder: audit.Recorder) -> None:
    for _ in range(5):
        _deny(1)
    await asyncio.to_thread(recorder.close)
    assert [row.details for row in await _events(database)] == [{}, {"repeated": 4}]


def test_while_the_database_is_away_events_wait_and_what_is_too_much_is_told(settings: Settings) -> None:
    recorder = audit.Recorder(settings, most_waiting=3)  # where there are no tables yet
    audit.connect(recorder)
    with capture_logs() as logged:
        for number in range(5):
            _deny(number)
        audit.connect(None)
        migrate(settings)
        recorder.close(30)
    with sqlite3.connect(settings.path("genai.db")) as connection:
        rows = connection.execute("SELECT action, object_id, details FROM audit_events ORDER BY number").fetchall()
    kept = [row for row in rows if row[0] == "scope.denied"]
    lost = sum(json.loads(row[2])["events"] for row in rows if row[0] == "audit.lost")
    assert [row[1] for row in kept] == [f"s{number}" for number in range(len(kept))]
    assert (len(kept), lost) == (3, 2)
    assert [line["reason"] for line in logged if line["event"] == "audit.not_written"] == ["queue_full"] * 2


def test_what_cannot_be_written_at_the_end_is_told_to_the_log(settings: Settings) -> None:
    recorder = audit.Recorder(settings)
    audit.connect(recorder)
    with capture_logs() as logged:
        _deny(1)
        audit.connect(None)
        recorder.close()
    (line,) = [line for line in logged if line["event"] == "audit.not_written"]
    assert (line["reason"], line["action"], line["on"]) == ("closed", "scope.denied", ("scope", "s1"))


def test_without_a_recorder_it_is_told_to_the_log() -> None:
    with capture_logs() as logged:
        _deny(1)
    assert [(line["stream"], line["event"]) for line in logged] == [
        ("security", "scope.denied"),
        ("audit", "audit.not_written"),
    ]
