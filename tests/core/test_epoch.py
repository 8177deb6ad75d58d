"""Every process learns of a change: all that listen are told, whatever one of them fails at."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from structlog.testing import capture_logs

from core.database import Database
from core.epoch import Watcher, raise_epoch


class Heard:
    """Counts how often it was told; fails the first `failing` times."""

    def __init__(self, failing: int = 0) -> None:
        self.times, self._failing = 0, failing

    async def heed(self, _database: Database) -> None:
        self.times += 1
        if self.times <= self._failing:
            raise RuntimeError("not yet")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - another task changes it
            await asyncio.sleep(0.01)


@asynccontextmanager
async def watching(watcher: Watcher, database: Database) -> AsyncIterator[None]:
    task = asyncio.create_task(watcher.run(database))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def raised(database: Database) -> None:
    async with database.transaction(all_tenants=True) as session:
        await raise_epoch(session)


async def test_all_who_listen_are_told_of_what_anybody_changes(database: Database) -> None:
    heard = Heard(), Heard()
    watcher = Watcher(heard[0].heed)
    watcher.add(heard[1].heed)
    async with watching(watcher, database):
        await until(lambda: [each.times for each in heard] == [1, 1])
        await raised(database)
        await until(lambda: [each.times for each in heard] == [2, 2])


async def test_what_one_of_them_fails_at_keeps_no_other_from_being_told_and_is_tried_again(database: Database) -> None:
    failing, well = Heard(failing=2), Heard()
    async with watching(Watcher(failing.heed, well.heed), database):
        await until(lambda: failing.times == 3)
    assert well.times == 3


async def test_one_run_is_enough_for_a_process(database: Database) -> None:
    heard = Heard()
    watcher = Watcher(heard.heed)
    await watcher.load(database)
    assert heard.times == 1
    async with watching(watcher, database):
        await until(lambda: heard.times == 2)
        async with asyncio.timeout(60):
            await watcher.run(database)
            await watcher.load(database)
        assert heard.times == 2


async def test_what_nobody_expected_of_a_look_ends_no_watch(database: Database) -> None:
    class Odd:
        """The database, whose second session is not to be had."""

        asked = 0

        def session(self, *, all_tenants: bool) -> Any:
            self.asked += 1
            if self.asked == 2:
                raise RuntimeError("odd")
            return database.session(all_tenants=all_tenants)

    heard = Heard()
    with capture_logs() as logged:
        async with watching(Watcher(heard.heed), cast("Database", Odd())):
            await until(lambda: heard.times == 2)
            await raised(database)
            await until(lambda: heard.times == 3)
    assert "changes.not_looked_at" in [line["event"] for line in logged]
