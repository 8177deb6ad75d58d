"""The alerts of all processes: a thread that claims in the database what this process has seen, and tells what it has claimed.

What the database does not take waits in memory, each alert once, and is told in the log at once; notices go out when the
database is back. Nobody who raises an alert waits for anything.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from core.alerts.alerts import Alert
from core.alerts.claims import Claims
from core.alerts.kinds import AlertKind
from core.database import blocking_engine, blocking_transaction, utc_now
from core.settings import Settings

log = structlog.get_logger()

#: Alerts that wait at most; beyond them the oldest are forgotten.
_MOST: Final = 10_000
_AT_ONCE: Final = 100
_RETRY_S: Final = 1.0
_LONGEST_RETRY_S: Final = 15.0

_Identity = tuple[AlertKind, str | None, str]


class Book:
    """The book of a process. `tell` is called in its thread, once for each alert that this process is to tell of."""

    def __init__(self, settings: Settings, tell: Callable[[Alert], None]) -> None:
        self._engine = blocking_engine(settings)
        self._claims = Claims(timedelta(seconds=settings.alerts.window_s), settings.alerts.storm)
        self._tell = tell
        self._changed = threading.Condition()
        #: By alert, in order: that it is raised, that it is over, or first the one and then the other.
        self._waiting: dict[_Identity, list[Alert]] = {}
        #: What was told already, because the database was away.
        self._told: set[tuple[_Identity, bool]] = set()
        self._busy = self._closing = False
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def put(self, alert: Alert) -> None:
        """Take an alert in. Never blocks."""
        identity = alert.kind, alert.tenant, alert.key
        with self._changed:
            if identity not in self._waiting and len(self._waiting) >= _MOST:
                lost = next(iter(self._waiting))
                del self._waiting[lost]
                self._told -= {(lost, True), (lost, False)}
                self._lost += 1
            _merge(self._waiting.setdefault(identity, []), alert)
            self._changed.notify_all()

    def settle(self, timeout_s: float = 5.0) -> None:
        """Return once all that was put in is dealt with, or the time is over. Blocks."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Deal with what waits, as far as the database lets it. May be called again."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        self._engine.dispose()

    def _run(self) -> None:
        pause_s = _RETRY_S
        while (batch := self._next()) is not None:
            if self._claim(batch):
                pause_s = _RETRY_S
                continue
            with self._changed:
                if self._closing:
                    return
                self._changed.wait_for(lambda: self._closing, pause_s)
            pause_s = min(pause_s * 2, _LONGEST_RETRY_S)

    def _next(self) -> list[Alert] | None:
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            self._busy = True
            identities = list(self._waiting)[:_AT_ONCE]
            if self._lost:
                log.error("alerts.lost", number=self._lost)
                self._lost = 0
            return [alert for identity in identities for alert in self._waiting.pop(identity)]

    def _claim(self, batch: list[Alert]) -> bool:
        """Whether the database has them now. What it has not taken waits again."""
        try:
            with blocking_transaction(self._engine) as connection:
                claimed = [self._claims.claim(connection, alert, utc_now()) for alert in batch]
        except (DataError, IntegrityError) as error:  # of one alert, which must not keep the others out
            if len(batch) > 1:
                taken = [self._claim([alert]) for alert in batch]
                return all(taken)
            log.error("alert.refused", kind=batch[0].kind.value, error=type(error).__name__)  # noqa: TRY400 - a trace has values
            return True
        except SQLAlchemyError as error:
            log.warning("alerts.database_away", error=type(error).__name__)
            self._engine.dispose()
            self._keep(batch)
            return False
        for alert, is_claimed in zip(batch, claimed, strict=True):
            known = ((alert.kind, alert.tenant, alert.key), alert.recovered)
            if is_claimed and known not in self._told:
                self._tell(alert)
            self._told.discard(known)
        return True

    def _keep(self, batch: list[Alert]) -> None:
        for alert in batch:
            known = ((alert.kind, alert.tenant, alert.key), alert.recovered)
            if known not in self._told:
                self._told.add(known)
                self._tell(alert)
        with self._changed:
            later, self._waiting = self._waiting, {}
            for alert in (*batch, *(each for alerts in later.values() for each in alerts)):
                _merge(self._waiting.setdefault((alert.kind, alert.tenant, alert.key), []), alert)


def _merge(waiting: list[Alert], alert: Alert) -> None:
    """Add to what waits of the same alert: two at most, for what came between says nothing any more."""
    if waiting and waiting[-1].recovered == alert.recovered:
        waiting[-1] = replace(alert, count=waiting[-1].count + alert.count)
    elif len(waiting) == 2:
        first = waiting.pop(0)
        waiting[:] = [replace(alert, count=first.count + alert.count)] if first.recovered == alert.recovered else [alert]
    else:
        waiting.append(alert)
