"""Events outside of a transaction: refusals above all. One thread writes them, so that no caller waits.

They are on record within milliseconds. A crash loses what came within those, and the counts of what repeats; a database that is
away delays them, and only a queue that is full by then loses some, which is put on record as well.
"""

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from core.audit.actions import Action, Outcome
from core.audit.chain import append
from core.audit.events import Detail, Event, Who, happened
from core.audit.stream import tell, tell_refused, tell_unwritten
from core.audit.throttle import WINDOW_S, Throttle
from core.audit.witness import Witness
from core.database import blocking_engine, blocking_transaction
from core.keys import Hasher, load_secret
from core.principals import DEFAULT_TENANT, SYSTEM, Principal
from core.settings import Settings

log = structlog.get_logger()

MOST_WAITING = 10_000
_AT_ONCE = 100
_RETRY_S = 1.0


class Recorder:
    """Writes the events of a process. `close` writes what is left."""

    def __init__(self, settings: Settings, *, window_s: float = WINDOW_S, most_waiting: int = MOST_WAITING) -> None:
        self._engine = blocking_engine(settings)
        self._hasher = Hasher(load_secret(settings))
        self._witness = Witness(settings, self._hasher)
        self._witnessed = False
        self._throttle = Throttle(window_s)
        self._most_waiting = most_waiting
        self._waiting: deque[Event] = deque()
        self._lost = 0
        self._away = False
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def add(self, event: Event) -> None:
        """Take an event in. Never blocks on the database."""
        with self._changed:
            if self._throttle.passes(event, time.monotonic()):
                self._keep(event)
                self._changed.notify()

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is left, for as long; the log gets what cannot be written. May be called again."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        with self._changed:
            tell_unwritten(self._waiting, "closed")
            self._waiting.clear()
        self._engine.dispose()

    def _keep(self, event: Event) -> None:
        tell_refused(event)
        if len(self._waiting) < self._most_waiting:
            self._waiting.append(event)
        else:
            self._lost += 1
            tell_unwritten([event], "queue_full")

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            if batch and not self._write(batch):
                with self._changed:
                    if self._closing:
                        return
                    self._changed.wait(_RETRY_S)

    def _next(self) -> list[Event] | None:
        """What is to be written next, perhaps nothing; None at the end."""
        with self._changed:
            if not self._waiting and not self._closing:
                end = self._throttle.next_end()
                self._changed.wait(None if end is None else max(0.0, end - time.monotonic()))
            for event in self._throttle.rest() if self._closing else self._throttle.ended(time.monotonic()):
                self._keep(event)
            if not self._waiting and self._closing:
                return None
            return list(islice(self._waiting, _AT_ONCE))

    def _write(self, batch: list[Event]) -> bool:
        """Put events on record. False where the database is away: they are kept."""
        lost = self._lost
        more = [_lost_event(lost)] if lost else []
        try:
            with blocking_transaction(self._engine) as connection:
                rows = append(connection, self._hasher, [*batch, *more])
        except (OperationalError, InterfaceError) as error:
            if not self._away:
                log.warning("audit.database_away", error=type(error).__name__)
            self._away = True
            self._engine.dispose()  # connect anew: the connection itself may be what is broken
            return False
        except Exception:  # the boundary of a thread: no event may keep the others from being written
            log.exception("audit.write_failed")
            tell_unwritten(batch, "write_failed")
        else:
            tell(rows)
            self._witnessed = self._witnessed or self._witness.keep(self._engine)
        with self._changed:
            self._away = False
            self._lost -= lost
            for _ in batch:
                self._waiting.popleft()
        return True


def _lost_event(events: int) -> Event:
    return replace(
        happened(Action.AUDIT_LOST, Outcome.FAILURE, None, {"events": events}, Who(SYSTEM, DEFAULT_TENANT)), address=None
    )


#: The process's recorder: what notes something is everywhere, and in two event loops.
_connected: list[Recorder] = []


def connect(recorder: Recorder | None) -> None:
    """Have this recorder write what is noted from now on; None: nobody, it is logged alone."""
    _connected[:] = [] if recorder is None else [recorder]


def note(
    action: Action,
    *,
    on: tuple[str, str] | None = None,
    details: Mapping[str, Detail] | None = None,
    outcome: Outcome = Outcome.DENIED,
    principal: Principal | None = None,
    tenant: str | None = None,
) -> None:
    """Put on record what has no transaction of its own. Cheap, from any thread, and raises nothing; the arguments are those of
    `core.audit.record`. A refusal that is the same again (action, actor, key, object) within a minute is counted: see
    `core.audit.throttle`."""
    event = happened(action, outcome, on, details, Who(principal, tenant))
    if _connected:
        _connected[0].add(event)
    else:
        tell_refused(event)
        tell_unwritten([event], "not_connected")
