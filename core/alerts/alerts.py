"""The alerts of one process: what is raised again and again is passed on now and then, in one step to the book, which knows
what all processes have told (`core.alerts.book`). Without a book each process tells for itself.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import structlog

from core.alerts.kinds import AlertKind, Severity, severity_of

log = structlog.get_logger()

WINDOW_S = 3600.0
#: Seconds for which an alert that is open is only counted here, before the book hears of it again.
REFRESH_S = 30.0
#: Keys that a process remembers; beyond it the oldest are forgotten.
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Alert:
    """What is told. `key` says of what (`openai/gpt-4o`); `facts` are safe to show: no prompt, secret or name of a person.

    `tenant` is whose it is; None: the platform's, for its operator. `count` is how often it was raised since it was last
    passed on.
    """

    kind: AlertKind
    key: str
    recovered: bool
    facts: Mapping[str, Any]
    tenant: str | None = None
    count: int = 1

    @property
    def severity(self) -> Severity:
        return severity_of(self.kind, self.facts)


Route = Callable[[Alert], None]


class AlertBook(Protocol):
    """Who knows what was told already, and has the rest told."""

    def put(self, alert: Alert) -> None:
        """Take it in. Never blocks."""

    def settle(self) -> None:
        """Return once all that was put in is dealt with. Blocks."""


def write_to_log(alert: Alert) -> None:
    """The route that is always there."""
    lines = {Severity.INFO: log.info, Severity.WARNING: log.warning, Severity.CRITICAL: log.error}
    tell = log.info if alert.recovered else lines[alert.severity]
    whose = {} if alert.tenant is None else {"tenant": alert.tenant}
    tell("alert.recovered" if alert.recovered else "alert.raised", kind=alert.kind.value, key=alert.key, **whose, **alert.facts)


@dataclass(slots=True)
class _Seen:
    """When it was last passed on, on the monotonic clock, and how often it was raised since. `open` until it recovers."""

    at: float
    count: int = 0
    open: bool = True


@dataclass(slots=True)
class Alerts:
    """Thread-safe; nothing blocks and nothing is raised. `routes` are called by whoever tells, and must not block either."""

    window_s: float = WINDOW_S
    book: AlertBook | None = None
    routes: list[Route] = field(default_factory=lambda: [write_to_log])
    _seen: dict[tuple[AlertKind, str | None, str], _Seen] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def raise_(self, kind: AlertKind, *, key: str, tenant: str | None = None, **facts: Any) -> None:
        """Tell, unless it was told within the window. Cheap where it was: it may be called on every failure."""
        identity, now = (kind, tenant, key), time.monotonic()
        with self._lock:
            seen = self._seen.get(identity)
            if seen is not None and self._is_known(seen, now):
                seen.count += 1
                return
            if seen is None and len(self._seen) >= _MOST:
                del self._seen[next(iter(self._seen))]
            self._seen[identity] = _Seen(now)
        self._pass_on(Alert(kind, key, recovered=False, facts=facts, tenant=tenant, count=1 + (seen.count if seen else 0)))

    def recover(self, kind: AlertKind, *, key: str, tenant: str | None = None, known: bool = False, **facts: Any) -> None:
        """Tell that it is over, where this process has seen it and nobody has told yet; with `known`, whoever has seen it.
        Cheap where it was not seen."""
        seen = self._seen.get((kind, tenant, key))
        if not known and (seen is None or not seen.open):
            return
        count = 0
        if seen is not None:
            with self._lock:
                if not seen.open and not known:
                    return
                seen.open, count, seen.count = False, seen.count, 0
        self._pass_on(Alert(kind, key, recovered=True, facts=facts, tenant=tenant, count=count))

    def tell(self, alert: Alert) -> None:
        """Tell all routes of this process."""
        for route in list(self.routes):
            try:
                route(alert)
            except Exception:  # one route's trouble is not another's, nor the caller's
                log.exception("alert.route_failed", kind=alert.kind.value, key=alert.key)

    async def settled(self) -> None:
        """Wait until what was raised so far is told."""
        if self.book is not None:
            await asyncio.to_thread(self.book.settle)

    def _is_known(self, seen: _Seen, now: float) -> bool:
        if self.book is None:
            return now - seen.at < self.window_s
        return seen.open and now - seen.at < min(REFRESH_S, self.window_s)

    def _pass_on(self, alert: Alert) -> None:
        if self.book is None:
            self.tell(alert)
        else:
            self.book.put(alert)


@lru_cache(maxsize=1)
def alerts() -> Alerts:
    """The process's alerts, made at first use; the lifespan gives them their book."""
    return Alerts()


def connect(book: AlertBook | None, window_s: float = WINDOW_S) -> None:
    """Tell through this book; None: each process for itself."""
    alerts().book, alerts().window_s = book, window_s


def raise_alert(kind: AlertKind, *, key: str, tenant: str | None = None, **facts: Any) -> None:
    """See `Alerts.raise_`."""
    alerts().raise_(kind, key=key, tenant=tenant, **facts)


def recover_alert(kind: AlertKind, *, key: str, tenant: str | None = None, known: bool = False, **facts: Any) -> None:
    """See `Alerts.recover`."""
    alerts().recover(kind, key=key, tenant=tenant, known=known, **facts)
