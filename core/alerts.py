"""Telling operators of trouble: one event `alert.raised` a window and key, over all processes, and one `alert.recovered`.

An alert is raised as often as its cause is seen; it is told once. What it is told through are routes: the log is the first, and
more may be added. Redis makes processes agree; where it is away each process tells for itself.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

import structlog
from redis.exceptions import RedisError

from core.redis_clients import RedisClients

log = structlog.get_logger()

WINDOW_S = 3600.0
#: How long an alert that nobody recovers from is remembered as open.
_OPEN_S = 7 * 86_400
#: Keys that a process remembers; beyond it the oldest are forgotten.
_MOST = 10_000
_PREFIX = "genai:alerts"


class AlertKind(StrEnum):
    """All that is told of. A label for metrics and routes: no name of a model or a caller is in it."""

    AUTHENTICATION_FAILED = "authentication_failed"
    MODEL_MISSING = "model_missing"
    PROVIDER_OUTAGE = "provider_outage"
    UNPRICED_MODEL = "unpriced_model"
    EMBEDDING_MISMATCH = "embedding_mismatch"
    CERTIFICATE_UNUSABLE = "certificate_unusable"
    CERTIFICATE_EXPIRES = "certificate_expires"
    BUDGET_USED = "budget_used"


@dataclass(frozen=True, slots=True)
class Alert:
    """What is told. `key` says of what (`openai/gpt-4o`); `facts` are safe to show."""

    kind: AlertKind
    key: str
    recovered: bool
    facts: Mapping[str, Any]


Route = Callable[[Alert], None]


def write_to_log(alert: Alert) -> None:
    """The route that is always there."""
    tell = log.info if alert.recovered else log.error
    tell("alert.recovered" if alert.recovered else "alert.raised", kind=alert.kind.value, key=alert.key, **alert.facts)


@dataclass(slots=True)
class _Seen:
    """`told_at` on the monotonic clock, None where another process told; `open` until it recovers."""

    told_at: float
    open: bool = True


@dataclass(slots=True)
class Alerts:
    """The alerts of one process. Thread-safe; nothing blocks and nothing is raised. Routes must not block either."""

    window_s: float = WINDOW_S
    clients: RedisClients | None = None
    routes: list[Route] = field(default_factory=lambda: [write_to_log])
    _seen: dict[tuple[AlertKind, str], _Seen] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def raise_(self, kind: AlertKind, *, key: str, **facts: Any) -> None:
        """Tell, unless it was told within the window. Cheap where it was: it may be called on every failure."""
        now = time.monotonic()
        with self._lock:
            seen = self._seen.get((kind, key))
            if seen is not None and now - seen.told_at < self.window_s:
                return
            if len(self._seen) >= _MOST:
                del self._seen[next(iter(self._seen))]
            self._seen[kind, key] = _Seen(now)
        self._tell(Alert(kind, key, recovered=False, facts=facts), self._first)

    def recover(self, kind: AlertKind, *, key: str, **facts: Any) -> None:
        """Tell that it is over, where this process has seen it and nobody has told yet. Cheap where it has not."""
        seen = self._seen.get((kind, key))
        if seen is None or not seen.open:
            return
        with self._lock:
            if not seen.open:
                return
            seen.open = False
        self._tell(Alert(kind, key, recovered=True, facts=facts), self._still_open)

    async def settled(self) -> None:
        """Wait until what was raised on this loop is told."""
        while mine := [task for task in self._tasks if task.get_loop() is asyncio.get_running_loop()]:
            await asyncio.gather(*mine)

    def _tell(self, alert: Alert, allowed: Callable[[RedisClients, Alert], Any]) -> None:
        clients = self.clients
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            clients = None  # nobody to ask from here
        if clients is None:
            self._send(alert)
            return

        async def ask() -> None:
            agreed = True
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                agreed = await allowed(clients, alert)
            if agreed:
                self._send(alert)

        task = loop.create_task(ask())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _first(self, clients: RedisClients, alert: Alert) -> bool:
        """Whether no process has told it within the window."""
        redis = clients.get()
        window = max(1, round(self.window_s * 1000))
        if not await redis.set(_name("window", alert), b"1", nx=True, px=window):
            return False
        await redis.set(_name("open", alert), b"1", ex=_OPEN_S)
        return True

    async def _still_open(self, clients: RedisClients, alert: Alert) -> bool:
        """Whether no process has told that it is over."""
        return bool(await clients.get().delete(_name("open", alert)))

    def _send(self, alert: Alert) -> None:
        for route in list(self.routes):
            try:
                route(alert)
            except Exception:  # one route's trouble is not another's, nor the caller's
                log.exception("alert.route_failed", kind=alert.kind.value, key=alert.key)


def _name(what: str, alert: Alert) -> str:
    return f"{_PREFIX}:{what}:{alert.kind.value}:{alert.key}"


@lru_cache(maxsize=1)
def alerts() -> Alerts:
    """The process's alerts, made at first use; the lifespan gives them their window and Redis."""
    return Alerts()


def connect(clients: RedisClients | None, window_s: float = WINDOW_S) -> None:
    """Agree with the other processes through this server; None: no more."""
    alerts().clients, alerts().window_s = clients, window_s


def raise_alert(kind: AlertKind, *, key: str, **facts: Any) -> None:
    """See `Alerts.raise_`."""
    alerts().raise_(kind, key=key, **facts)


def recover_alert(kind: AlertKind, *, key: str, **facts: Any) -> None:
    """See `Alerts.recover`."""
    alerts().recover(kind, key=key, **facts)
