"""Puts entries into the database: one thread, which commits whatever has come while the last commit ran.

Nobody waits for the database longer than `WAIT_S`: what it has not taken by then goes into a file, from which it is taken
later. While it is known to be away, that is done at once.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Protocol

import structlog

from core.ledger.inserts import DatabaseAway, Inserts, RowsRefused
from core.ledger.spool import Spool, left_behind, set_aside
from core.settings import Settings

log = structlog.get_logger()

#: Seconds that an answer is held for the database.
WAIT_S = 0.025
_AT_ONCE = 500
#: Seconds for which more is waited for where several answer at once, for each entry of the last commit, and at most: a commit
#: costs as much for one as for many, and where many answer nobody waits longer for it than for the processor.
GATHER_S, _GATHER_MOST_S = 0.0015, 0.008
_RETRY_S = 0.5
#: Entries that wait in memory while the database is away; beyond them, the file alone has them.
_MOST_WAITING = 20_000


class Recorded(Protocol):
    """What is put on record: an `Entry`, or an `Outcome`."""

    def row(self) -> dict[str, Any]:
        """The columns of its table, by name."""


class Ledger:
    """The ledger of a process. `close` writes what is left."""

    def __init__(self, settings: Settings, *, wait_s: float = WAIT_S) -> None:
        self._inserts = Inserts(settings)
        self._directory = settings.path("ledger")
        self._spool = Spool(self._directory)
        self._wait_s = wait_s
        self._changed = threading.Condition()
        self._waiting: deque[Recorded] = deque()
        #: How many entries there were so far; how many of them are in the database, and in the database or in the file.
        self._taken = self._committed = self._kept = 0
        #: How many went with the last commit.
        self._last = 1
        self._only_in_file = False
        self._away = self._late = self._closing = False
        self._sleepers: dict[asyncio.AbstractEventLoop, list[tuple[int, asyncio.Future[bool]]]] = {}
        self._keeper = ThreadPoolExecutor(1, "ledger-spool")
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Entries that the database does not have yet."""
        return max(0, self._taken - self._committed)

    def record(self, entry: Recorded) -> None:
        """Take an entry in. Never blocks."""
        with self._changed:
            self._taken += 1
            if len(self._waiting) >= _MOST_WAITING and self._kept > self._committed:
                self._forget_oldest()
            self._waiting.append(entry)
            self._changed.notify()

    async def settled(self) -> None:
        """Returns once all that was recorded before is in the database, or in the file that it will be taken from."""
        position = self._taken
        if max(self._committed, self._kept) >= position:
            return
        if not self._away and not self._late:
            loop = asyncio.get_running_loop()
            future: asyncio.Future[bool] = loop.create_future()
            with self._changed:
                if self._committed >= position:
                    return
                self._sleepers.setdefault(loop, []).append((position, future))
            timer = loop.call_later(self._wait_s, _finish, (future,), False)
            try:
                if await future:
                    return
            finally:
                timer.cancel()
            self._late = True  # the next ones need not find out for themselves
        await asyncio.get_running_loop().run_in_executor(self._keeper, self._keep, position)

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is left; what the database does not take goes into the file. May be called again."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        self._keeper.shutdown()
        self._keep(self._taken)
        if self._committed >= self._taken and not self._only_in_file:
            self._spool.clear()
        self._spool.close()
        if not self._thread.is_alive():  # it may wait for a database that does not answer
            self._inserts.close()

    # --- the file -----------------------------------------------------------------------------------------------------------

    def _keep(self, position: int) -> None:
        """Have everything up to `position` in the file, unless the database has it by now."""
        with self._changed:
            first = max(self._committed, self._kept)
            if first >= position:
                return
            begin = first - self._committed
            entries = list(islice(self._waiting, begin, None))
            last = first + len(entries)
        if entries:
            self._spool.keep(entry.row() for entry in entries)
        with self._changed:
            self._kept = max(self._kept, last)

    def _forget_oldest(self) -> None:
        self._waiting.popleft()
        self._committed += 1  # as far as memory goes: the file has it
        self._only_in_file = True

    # --- the thread ---------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._take_over()
        while (batch := self._next()) is not None:
            if batch and not self._write(batch):
                with self._changed:
                    if self._closing:
                        return
                    self._changed.wait(_RETRY_S)

    def _next(self) -> Sequence[Recorded] | None:
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            alone = len(self._waiting) < 2
        if not alone and not self._closing:
            time.sleep(min(GATHER_S * max(2, self._last), _GATHER_MOST_S))
        with self._changed:
            batch = list(islice(self._waiting, _AT_ONCE))
        self._last = len(batch)
        return batch or None

    def _write(self, batch: Sequence[Recorded]) -> bool:
        """Whether the database has the entries now."""
        if not self._commit([entry.row() for entry in batch]):
            return False
        with self._changed:
            gone = self._forgotten_since(batch)
            for _ in range(len(batch) - gone):
                self._waiting.popleft()
            self._committed += len(batch) - gone
            self._wake()
            emptied = not self._waiting
        if emptied and self._spool.holds_rows:
            self._keeper.submit(self._empty_the_file).result()
        return True

    def _forgotten_since(self, batch: Sequence[Recorded]) -> int:
        """How many of a batch memory has let go while it was being written."""
        first = self._waiting[0] if self._waiting else None
        return next((number for number, entry in enumerate(batch) if entry is first), len(batch))

    def _commit(self, rows: list[dict[str, Any]]) -> bool:
        try:
            self._inserts.add(rows)
        except RowsRefused as error:
            return self._one_by_one(rows, error)
        except DatabaseAway as error:
            if not self._away:
                log.warning("ledger.database_away", error=str(error))
            self._away = True
            return False
        if self._away:
            log.info("ledger.database_back")
        self._away = self._late = False
        return True

    def _one_by_one(self, rows: list[dict[str, Any]], error: RowsRefused) -> bool:
        """A row that the database does not take must not keep the others out: it is set aside, in a file of its own."""
        if len(rows) > 1:
            taken = [self._commit([row]) for row in rows]
            return all(taken)
        log.error("ledger.row_refused", id=rows[0]["id"], error=str(error))
        set_aside(self._directory, rows[0])
        return True

    def _wake(self) -> None:
        for loop, sleepers in list(self._sleepers.items()):
            due = [future for position, future in sleepers if position <= self._committed]
            if len(due) == len(sleepers):
                del self._sleepers[loop]
            elif due:
                sleepers[:] = [each for each in sleepers if each[0] > self._committed]
            if due and not loop.is_closed():
                loop.call_soon_threadsafe(_finish, due, True)

    def _empty_the_file(self) -> None:
        """Put what is in the file alone into the database, and clear it, unless more has come meanwhile."""
        if self._only_in_file:
            for rows in self._spool.rows():
                if not self._commit(rows):
                    return
        with self._changed:
            if self._waiting:
                return
            self._only_in_file = False
        self._spool.clear()

    def _take_over(self) -> None:
        """Put into the database what processes have left behind that are no more."""
        for path, batches in left_behind(self._directory):
            for rows in batches:
                while not self._commit(rows):
                    if self._closing:
                        return
                    time.sleep(_RETRY_S)
            log.info("ledger.taken_over", file=path.name)
            path.unlink()


def _finish(futures: Sequence["asyncio.Future[bool]"], in_time: bool) -> None:
    for future in futures:
        if not future.done():
            future.set_result(in_time)


_ledger: Ledger | None = None


def connect(ledger: Ledger | None) -> None:
    """Let this process write into a ledger; None: into none."""
    global _ledger
    _ledger = ledger


def record(entry: Recorded) -> None:
    """Put an entry on record. Never blocks."""
    if _ledger is not None:
        _ledger.record(entry)


async def settled() -> None:
    """See `Ledger.settled`."""
    if _ledger is not None:
        await _ledger.settled()
