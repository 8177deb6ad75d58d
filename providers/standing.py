"""How a deployment stands: its breaker, what it is doing, how fast it answers, and what went wrong last."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from core.settings import BreakerSettings
from providers.breaker import Breaker
from providers.capacity import Capacity
from providers.failures import Kind

#: Seconds after which a measured latency weighs half.
HALF_LIFE_S = 60.0
#: What a new measurement weighs at least, so that a busy deployment's figure does not stand still.
NEWEST = 0.1
#: Seconds for which a provider that limits its rate without naming a time is left in peace; doubled each time up to the other.
HOLD_S = 1.0
LONGEST_HOLD_S = 30.0


class Decayed:
    """A mean in which a measurement weighs half after `HALF_LIFE_S`. `value` is None before the first."""

    __slots__ = ("at", "value")

    def __init__(self) -> None:
        self.value: float | None = None
        self.at = 0.0

    def add(self, value: float, now: float) -> None:
        if self.value is None:
            self.value = value
        else:
            weight = max(NEWEST, 1 - math.exp2((self.at - now) / HALF_LIFE_S))
            self.value += weight * (value - self.value)
        self.at = now


def _nobody_waits() -> None:
    """Of a deployment that is one process's own."""


class Standing:
    """Of one provider's model in this process, called with one credential; shared by all aliases that name it. Times are
    `time.monotonic()`'s."""

    __slots__ = (
        "_bare_limits",
        "account",
        "ailing",
        "answer_s",
        "answered_at",
        "breaker",
        "capacity",
        "ended",
        "explored_at",
        "first_token_s",
        "goes_on",
        "goes_on_until",
        "held_until",
        "hold_changed",
        "in_flight",
        "last_call",
        "last_error",
        "last_error_at",
        "model",
        "provider",
        "token_s",
    )

    def __init__(self, provider: str, model: str, rules: BreakerSettings, account: str = "") -> None:
        self.provider, self.model = provider, model
        #: Which credential it is called with, empty for the one that is configured: each stands for itself.
        self.account = account
        self.breaker = Breaker(rules)
        #: None as long as it has no limits of its own.
        self.capacity: Capacity | None = None
        self.in_flight = 0
        #: Called when a call has ended whose place other processes may wait for.
        self.ended: Callable[[], None] = _nobody_waits
        self.first_token_s, self.answer_s, self.token_s = Decayed(), Decayed(), Decayed()
        #: When a request was last sent here to see how fast it is now.
        self.explored_at = -math.inf
        self.last_error: Kind | None = None
        #: Whether something went wrong since the last answer.
        self.ailing = False
        self.last_error_at = self.last_call = 0.0
        #: When it gave the last whole answer; None: never.
        self.answered_at: float | None = None
        #: Until when the provider has asked to be left in peace, and whether the other processes are still to be told.
        self.held_until = 0.0
        self.hold_changed = False
        #: Whether it was found to take up an answer that is begun, and until when that is believed; None: not known.
        self.goes_on: bool | None = None
        self.goes_on_until = 0.0
        self._bare_limits = 0

    @property
    def name(self) -> str:
        """What tells it apart from all others of the installation."""
        return f"{self.provider}/{self.model}{self.account and f'@{self.account}'}"

    @property
    def load(self) -> float:
        """Calls in flight, as a share of those that it may have where it has a limit."""
        at_once = self.capacity.limits.concurrent if self.capacity else None
        return self.in_flight / (at_once or 1)

    def begun(self) -> None:
        """A call begins; exactly one of `succeeded`, `failed`, `limited`, `abandoned` follows."""
        self.in_flight += 1

    @contextmanager
    def held_place(self) -> Iterator[None]:
        """A call that has not begun yet counts as one in flight for the block."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    def succeeded(self, started: float, first_token_s: float | None = None, tokens: int = 0) -> None:
        """A call that was begun at `started` gave a whole answer of so many tokens."""
        now = self._ended()
        if first_token_s is not None:
            self.first_token_s.add(first_token_s, now)
        self.answer_s.add(now - started, now)
        if tokens:
            self.token_s.add((now - started) / tokens, now)
        self._bare_limits = 0
        self.answered_at = now
        self.breaker.succeeded(started, now)

    def failed(self, started: float, kind: Kind, retry_after_s: float | None = None) -> None:
        """It failed by the provider's fault. It is left in peace for as long as it asks, as far as that is within a probe
        interval: one that is down does not know when it will be well."""
        now = self._erred(kind)
        if retry_after_s:
            self.held_until = max(self.held_until, now + min(retry_after_s, self.breaker.probe_s))
            self.hold_changed = True
        self.breaker.failed(started, now)

    def limited(self, started: float, retry_after_s: float | None) -> None:
        """The provider limits its rate: it is well, and is left in peace for as long as it asks."""
        now = self._erred(Kind.RATE)
        if retry_after_s is None:
            retry_after_s = min(HOLD_S * 2**self._bare_limits, LONGEST_HOLD_S)
            self._bare_limits = min(self._bare_limits + 1, 8)
        self.held_until = max(self.held_until, now + retry_after_s)
        self.hold_changed = True
        self.breaker.abandoned(started)

    def abandoned(self, started: float, kind: Kind | None = None) -> None:
        """It says nothing of the provider: its caller left, or the request itself was at fault (`kind`)."""
        if kind is None:
            self._ended()
        else:
            self._erred(kind)
        self.breaker.abandoned(started)

    def held_s(self, now: float) -> float:
        """Seconds for which the provider asked to be left in peace."""
        return max(0.0, self.held_until - now)

    def seconds_of(self, tokens: int) -> float | None:
        """How long an answer of so many tokens takes, as far as it was measured; None: never."""
        pace = self.token_s.value
        return self.answer_s.value if pace is None else pace * tokens

    def told(self) -> dict[str, Any]:
        """For operators: seconds are rounded to milliseconds; None is not known."""
        now = time.monotonic()
        breaker = self.breaker
        return {
            "breaker": breaker.state.value,
            "failures": breaker.failures,
            "probe_in_s": None if breaker.closed else round(max(0.0, breaker.probe_at - now), 3),
            "held_s": round(self.held_s(now), 3),
            "first_token_s": _rounded(self.first_token_s.value),
            "answer_s": _rounded(self.answer_s.value),
            "in_flight": self.in_flight,
            "last_answer_age_s": None if self.answered_at is None else round(now - self.answered_at, 3),
            "last_error": self.last_error.value if self.last_error else None,
            "last_error_age_s": round(now - self.last_error_at, 3) if self.last_error else None,
        }

    def _ended(self) -> float:
        self.in_flight -= 1
        self.last_call = now = time.monotonic()
        if self.capacity is not None and self.capacity.limits.concurrent is not None:
            self.ended()
        return now

    def _erred(self, kind: Kind) -> float:
        self.last_error, self.last_error_at = kind, (now := self._ended())
        self.ailing = True
        return now


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
