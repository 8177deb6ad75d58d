"""A circuit breaker: a deployment that fails is left alone, until one call at a time finds that it answers again.

All of it is memory of this process and takes no lock: a caller asks it on the hot path. `providers.sharing` carries it to and
from the other processes in the background.
"""

import random
from enum import StrEnum

from core.settings import BreakerSettings

#: A probe comes after 0.8 to 0.95 of the configured time: within it, and not in step with other deployments' probes.
PROBE_EARLY = (0.8, 0.95)
BUCKETS = 6


class State(StrEnum):
    """Half open: a call is trying."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Lease(StrEnum):
    """The right to probe, of which there is one over all processes."""

    NONE = "none"
    WANTED = "wanted"
    HELD = "held"


class Breaker:
    """Of one deployment. Times are `time.monotonic()`'s.

    It opens on `failures` in a row, or on a share of failures within a window. While it is open, `take_probe` gives one caller
    every `probe_s` the right to call, whether the last one has come back or still waits: it may be lost on a provider that is
    well by now. A call that was begun after it opened and gave a whole answer closes it.
    """

    __slots__ = (
        "_buckets",
        "_probing_since",
        "_rules",
        "_span",
        "changed",
        "failures",
        "lease",
        "leased_until",
        "left_alone_since",
        "opened_at",
        "probe_at",
        "shared",
    )

    def __init__(self, rules: BreakerSettings) -> None:
        self._rules = rules
        self._span = rules.window_s / BUCKETS
        self._buckets: list[list[int]] = [[0, 0, 0] for _ in range(BUCKETS)]  # of each: its number, successes, failures
        self._probing_since: float | None = None
        self.failures = 0
        self.opened_at: float | None = None
        self.probe_at = 0.0
        #: When it was opened, or called last since then.
        self.left_alone_since = 0.0
        #: Whether the right to probe has to be asked for, and what is to be told to the other processes.
        self.shared = False
        self.lease = Lease.NONE
        self.leased_until = 0.0
        self.changed: State | None = None

    @property
    def closed(self) -> bool:
        return self.opened_at is None

    @property
    def probe_s(self) -> float:
        return self._rules.probe_s

    @property
    def state(self) -> State:
        if self.opened_at is None:
            return State.CLOSED
        return State.OPEN if self._probing_since is None else State.HALF_OPEN

    def take_probe(self, now: float) -> bool:
        """Whether the asking caller is the one who calls next; the answer True is given to one."""
        if self.opened_at is None or now < self.probe_at:
            return False
        if self.shared and (self.lease is not Lease.HELD or now >= self.leased_until):
            self.lease = Lease.WANTED
            return False
        self.lease = Lease.NONE
        self._probing_since = self.left_alone_since = now
        self.probe_at = now + self.pause()
        return True

    def try_in_need(self, now: float) -> None:
        """A caller calls it although it is open, for want of another: the next one in need takes another, if there is one."""
        self.left_alone_since = now
        self.probe_at = max(self.probe_at, now + self.pause())

    def succeeded(self, started: float, now: float) -> None:
        """A call that was begun at `started` gave a whole answer."""
        self._bucket(now)[1] += 1
        if self.opened_at is None:
            self.failures = 0
        elif started >= self.opened_at:
            self.close()
            self.changed = State.CLOSED

    def failed(self, started: float, now: float) -> None:
        """A call that was begun at `started` failed by the provider's fault."""
        self.failures += 1
        self._bucket(now)[2] += 1
        if self.opened_at is not None:
            if started >= self.opened_at:  # the probe, or a call for want of another deployment
                if self._probing_since is not None and started >= self._probing_since:
                    self._probing_since = None
                self.probe_at = max(self.probe_at, started + self.pause())
                self.changed = State.OPEN
        elif self.failures >= self._rules.failures or self._fails_often(now):
            self.open(now, self.pause())
            self.changed = State.OPEN

    def abandoned(self, started: float) -> None:
        """A call that was begun at `started` came to no end that says anything of the provider: another may probe."""
        if self._probing_since is not None and started >= self._probing_since:
            self._probing_since = None
            self.probe_at = 0.0

    def encourage(self, now: float) -> None:
        """The provider has answered beside the calls: the next caller may try, without asking for the right to."""
        if self.opened_at is None:
            return
        self.probe_at = now
        if self.shared:
            self.lease, self.leased_until = Lease.HELD, now + self._rules.probe_s

    def open(self, now: float, probe_in_s: float) -> None:
        """Open it, or, where it is open, say when the next probe may be."""
        if self.opened_at is None:
            self.opened_at = self.left_alone_since = now
            self._probing_since = None
        self.probe_at = now + probe_in_s

    def close(self) -> None:
        self.opened_at = self._probing_since = None
        self.failures = 0
        self.lease = Lease.NONE
        for bucket in self._buckets:
            bucket[:] = [0, 0, 0]

    def pause(self) -> float:
        """Seconds from one probe to the next."""
        return self._rules.probe_s * random.uniform(*PROBE_EARLY)  # noqa: S311 - no secret

    def _bucket(self, now: float) -> list[int]:
        number = int(now / self._span)
        bucket = self._buckets[number % BUCKETS]
        if bucket[0] != number:
            bucket[:] = [number, 0, 0]
        return bucket

    def _fails_often(self, now: float) -> bool:
        oldest = int(now / self._span) - BUCKETS
        recent = [bucket for bucket in self._buckets if bucket[0] > oldest]
        failed = sum(bucket[2] for bucket in recent)
        calls = failed + sum(bucket[1] for bucket in recent)
        return calls >= self._rules.window_calls and failed >= calls * self._rules.failure_rate
