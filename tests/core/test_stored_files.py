"""Files of callers: listed in both orders, and never left behind for ever."""

from datetime import timedelta

import pytest
from sqlmodel import select, update

from core.database import Database, utc_now
from core.errors import Conflict, InvalidRequest, Unavailable
from core.files import Files
from core.principals import SYSTEM
from core.settings import Settings
from core.stored_files import BATCH, UNCLAIMED_FOR, StoredFiles, claim, drop_unclaimed, put_unclaimed
from core.tables import AuditEvent, StoredFile, UnclaimedFile


@pytest.fixture
def files(settings: Settings, database: Database) -> Files:
    return Files(settings, database.keyring)


@pytest.fixture
def stored(database: Database, files: Files) -> StoredFiles:
    return StoredFiles(database, files)


async def a_day_later(database: Database) -> None:
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(UnclaimedFile).values(created_at=utc_now() - UNCLAIMED_FOR - timedelta(seconds=1)))


async def test_bytes_that_no_row_came_to_point_at_are_dropped_after_a_day(
    stored: StoredFiles, database: Database, files: Files
) -> None:
    kept = await stored.add(SYSTEM, b"x", name="a", purpose=BATCH, size=1)
    lost = StoredFile(owner=SYSTEM.id, purpose=BATCH, name="b", size=1)
    await put_unclaimed(database, files, lost, b"y")  # and there the process dies
    assert await drop_unclaimed(database, files) == 0
    await a_day_later(database)
    assert await drop_unclaimed(database, files) == 1
    assert [await files.exists(row.key) for row in (kept, lost)] == [True, False]
    assert await drop_unclaimed(database, files) == 0
    with pytest.raises(Conflict):
        async with database.transaction(all_tenants=True) as session:
            await claim(session, lost)


async def test_bytes_of_a_row_that_is_gone_are_dropped_though_the_process_died_between(
    stored: StoredFiles, database: Database, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await stored.add(SYSTEM, b"x", name="a", purpose=BATCH, size=1)

    async def dies(_: Files, key: str) -> None:
        raise Unavailable(f"{key} cannot be deleted.")

    with monkeypatch.context() as broken:
        broken.setattr(Files, "delete", dies)
        with pytest.raises(Unavailable):
            await stored.delete(SYSTEM, row.id)
    await a_day_later(database)
    assert await drop_unclaimed(database, files) == 1
    assert not await files.exists(row.key)


async def test_a_file_that_comes_and_goes_is_on_record_without_its_name(stored: StoredFiles, database: Database) -> None:
    row = await stored.add(SYSTEM, b"x", name="payroll-of-ann.jsonl", purpose=BATCH, size=1)
    await stored.delete(SYSTEM, row.id)
    async with database.session(SYSTEM.tenant) as session:
        events = (
            await session.exec(select(AuditEvent).where(AuditEvent.object_id == row.id).order_by(AuditEvent.number))
        ).all()
    assert [(event.action, event.actor) for event in events] == [("file.added", SYSTEM.id), ("file.deleted", SYSTEM.id)]
    assert "payroll" not in repr([event.model_dump() for event in events])


async def test_files_are_listed_in_both_orders_page_by_page(stored: StoredFiles) -> None:
    ids = [(await stored.add(SYSTEM, b"x", name="a", purpose=BATCH, size=1)).id for _ in range(5)]
    for oldest_first, order in ((True, ids), (False, ids[::-1])):
        seen: list[str] = []
        more = True
        while more:
            rows, more = await stored.page(SYSTEM, limit=2, after=seen[-1] if seen else None, oldest_first=oldest_first)
            seen += [row.id for row in rows]
        assert seen == order
    with pytest.raises(InvalidRequest):
        await stored.page(SYSTEM, limit=2, after="file_nobodys")
