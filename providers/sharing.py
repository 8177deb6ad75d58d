"""What processes tell each other of deployments, through Redis or Valkey: open breakers, the right to probe, rate limits.

No request waits for it. A request asks for an exchange, which runs in the background at most once every `EVERY_S`; what it
brings holds from then on. A process without requests looks as often at one number, whether there is anything new, so that its
next request knows. While the server is away each process goes by what it sees itself.
"""

import asyncio
import secrets
import threading
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any

import structlog

from core.background import ended
from core.redis_clients import RedisClients
from core.redis_reach import FAILURES
from providers.breaker import Lease, State
from providers.capacity import SCRIPT, Capacity
from providers.standing import Standing

log = structlog.get_logger()

#: Seconds between two exchanges, where there is something to tell and where there is not.
AT_ONCE_S, EVERY_S = 0.02, 0.5
#: Seconds that a request waits at most for what others say of a limit that it would be refused by.
HEARD_S = 0.1
#: Seconds until the server is asked again after it did not answer.
AWAY_S = 2.0
#: An exchange that has not ended after so many seconds was lost with its event loop.
LOST_S = 3.0
#: Seconds between the end of a right to probe that no request has used and the moment at which its holder asks for it again:
#: a process that has more requests asks meanwhile.
FORGONE_S = 2 * EVERY_S
#: What is told of an open breaker holds for so many probe intervals, unless it is told again.
INTERVALS = 6
PREFIX = "genai:deployment"
#: The number that grows with whatever is told.
NEWS = "genai:deployments:news"


class Sharing:
    """Of all deployments that are the same for all processes; the local models are each process's own."""

    def __init__(self, standings: Iterable[Standing], probe_s: float) -> None:
        self._standings = tuple(standings)
        self._probe_s = probe_s
        self._lock = threading.Lock()
        self._clients: RedisClients | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: dict[Standing, asyncio.TimerHandle] = {}
        self._next = 0.0
        self._running_since: float | None = None
        self._published: set[Standing] = set()
        self._listening = False
        self._news: bytes | None = None
        self._process = secrets.token_hex(8)
        self._end_untold = False
        for standing in self._standings:
            standing.ended = self._call_ended

    def connect(self, clients: RedisClients) -> None:
        self._clients = clients
        self._use(True)

    def add(self, standing: Standing) -> None:
        """One more, from the next exchange on. Asked for in any thread."""
        with self._lock:
            standing.breaker.shared = self._connected
            standing.ended = self._call_ended
            self._standings = (*self._standings, standing)

    def remove(self, standings: Collection[Standing]) -> None:
        """These are called no more."""
        with self._lock:
            self._standings = tuple(each for each in self._standings if each not in standings)

    def touch(self, *, urgent: bool = False) -> None:
        """Exchange what is new, soon, in the background. `urgent`: there is something to tell. Costs a comparison."""
        now = time.monotonic()
        if self._clients is None or now < self._next - (EVERY_S - AT_ONCE_S if urgent and self._connected else 0):
            return
        if self._running_since is not None and now - self._running_since < LOST_S:
            return
        self._running_since = now
        task = asyncio.get_running_loop().create_task(self._exchange(self._clients))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def hear(self) -> None:
        """Exchange now what is new and wait for that, `HEARD_S` at most: for who would be refused by what was heard before."""
        if self._clients is None or not self._connected:
            return
        # an end is told after `AT_ONCE_S`, and so is heard by then
        await asyncio.sleep(AT_ONCE_S)
        task = asyncio.get_running_loop().create_task(self._exchange(self._clients))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait({task}, timeout=HEARD_S)

    def _call_ended(self) -> None:
        """Others may wait for its place: they are told at once."""
        if self._clients is None or self._end_untold:
            return
        with suppress(RuntimeError):  # no event loop: the next exchange tells
            asyncio.get_running_loop().call_later(AT_ONCE_S, self._tell_end)
            self._end_untold = True

    def _tell_end(self) -> None:
        self._end_untold = False
        self.touch(urgent=True)

    async def listen(self) -> None:
        """Have an exchange whenever there is something to tell or to hear that no request has asked for, until cancelled; a
        second run ends at once."""
        if self._listening or self._clients is None:
            return
        self._listening = True
        try:
            while True:
                if time.monotonic() >= self._next and await self._is_behind(self._clients):
                    self.touch()
                await asyncio.sleep(EVERY_S)
        finally:
            self._listening = False

    async def _is_behind(self, clients: RedisClients) -> bool:
        """Whether there is something to tell or to hear; what the others use of a limit is no news, and always to be heard."""
        if any(each.capacity or each.breaker.changed or each.hold_changed for each in self._standings):
            return True
        try:
            async with clients.asked(patient=True) as client:
                return bool(await client.get(NEWS) != self._news)
        except FAILURES:
            return True  # an exchange says what is to be done without the server

    async def close(self) -> None:
        """End what runs on this event loop."""
        for timer in self._timers.values():
            timer.cancel()
        await ended([task for task in self._tasks if task.get_loop() is asyncio.get_running_loop()])

    @property
    def _connected(self) -> bool:
        return any(standing.breaker.shared for standing in self._standings)

    def _use(self, shared: bool) -> None:
        for standing in self._standings:
            standing.breaker.shared = shared

    async def _exchange(self, clients: RedisClients) -> None:
        try:
            await self._swap(clients)
        except (*FAILURES, ValueError) as error:
            if self._connected and isinstance(error, ValueError):  # that it is away is told once, for all who ask it
                log.warning("deployments.not_shared", error=type(error).__name__)
            self._use(False)
            self._tell_again()
            self._next = time.monotonic() + AWAY_S
        else:
            self._use(True)
            self._next = time.monotonic() + EVERY_S
        finally:
            self._running_since = None

    def _tell_again(self) -> None:
        """What was to be told may not have arrived."""
        for standing in self._standings:
            if not standing.breaker.closed:
                standing.breaker.changed = State.OPEN
            elif standing in self._published:
                standing.breaker.changed = State.CLOSED
            standing.hold_changed = standing.held_until > time.monotonic()

    async def _swap(self, clients: RedisClients) -> None:
        """One round trip: tell what changed here, then ask how all stand."""
        standings = self._standings  # more may be added meanwhile
        async with clients.asked(patient=True) as client, client.pipeline(transaction=False) as pipe:
            told = [(standing, *self._tell(pipe, standing)) for standing in standings]
            used = [(standing.capacity, self._tell_used(pipe, standing)) for standing in standings if standing.capacity]
            if any(commands for _, commands, _ in told):
                pipe.incr(NEWS)
            pipe.get(NEWS)
            try:
                *answered, self._news = await pipe.execute()
            except BaseException:
                for capacity, said in used:
                    capacity.unsay(said)
                raise
        now, answers = time.monotonic(), iter(answered)
        for standing, commands, asked_for_lease in told:
            results = [next(answers) for _ in range(commands)]
            opened_ms, probe_ms, held_ms = (next(answers) for _ in range(3))
            self._hear(standing, now, opened_ms, probe_ms, held_ms)
            if asked_for_lease:
                self._lease(standing, now, granted=bool(results[-1]), probe_s=max(0, probe_ms) / 1000)
        for capacity, _ in used:
            capacity.hear(next(answers), now)

    def _tell_used(self, pipe: Any, standing: Standing) -> tuple[Any, ...]:
        """Add what this process used of a deployment with limits."""
        capacity: Capacity = standing.capacity  # type: ignore[assignment] # asked for where there is one
        said = capacity.tell(self._process, standing.in_flight)
        pipe.eval(SCRIPT, 1, f"{PREFIX}:{standing.name}:used", *said)
        return said

    def _tell(self, pipe: Any, standing: Standing) -> tuple[int, bool]:
        """The commands for one deployment: how many stand before the three questions, and whether the last of them asks for
        the right to probe."""
        breaker, before = standing.breaker, len(pipe)
        opened, probe, held = (f"{PREFIX}:{standing.name}:{what}" for what in ("open", "probe", "held"))
        now = time.monotonic()
        changed, breaker.changed = breaker.changed, None
        if changed is State.OPEN:
            pipe.set(opened, 1, px=int(self._probe_s * INTERVALS * 1000))
            if (wait := breaker.probe_at - now) > 0:
                pipe.set(probe, 1, px=max(1, int(wait * 1000)))
            self._ask_in(standing, max(0.0, wait) + AT_ONCE_S)
            self._published.add(standing)
        elif changed is State.CLOSED:
            pipe.delete(opened, probe)
            self._published.discard(standing)
        if standing.hold_changed:
            standing.hold_changed = False
            if (wait := standing.held_s(now)) > 0:
                pipe.set(held, 1, px=max(1, int(wait * 1000)))
        if asks := breaker.lease is Lease.WANTED:
            pipe.set(probe, 1, nx=True, px=max(1, int(breaker.pause() * 1000)))
        commands = len(pipe) - before
        for key in (opened, probe, held):
            pipe.pttl(key)
        return commands, asks

    def _lease(self, standing: Standing, now: float, *, granted: bool, probe_s: float) -> None:
        """The right to probe was asked for. It is held until the next request uses it, which may come late, or it ends."""
        breaker = standing.breaker
        if breaker.lease is not Lease.WANTED:
            return
        if not granted:
            breaker.lease = Lease.NONE
            breaker.probe_at = now + probe_s
            return
        breaker.lease, breaker.leased_until = Lease.HELD, now + probe_s
        self._ask_in(standing, probe_s + FORGONE_S)

    def _ask_in(self, standing: Standing, seconds: float) -> None:
        """Ask for the right to probe then, so that one process holds it when its next request comes, however rare they are."""
        if standing in self._timers:
            self._timers[standing].cancel()
        self._timers[standing] = asyncio.get_running_loop().call_later(seconds, self._ask, standing)

    def _ask(self, standing: Standing) -> None:
        if standing.breaker.state is State.OPEN:
            standing.breaker.lease = Lease.WANTED
            self.touch(urgent=True)

    def _hear(self, standing: Standing, now: float, opened_ms: int, probe_ms: int, held_ms: int) -> None:
        breaker = standing.breaker
        if held_ms > 0:
            standing.held_until = max(standing.held_until, now + held_ms / 1000)
        if breaker.changed is not None:  # what happened here meanwhile is newer
            return
        if opened_ms > 0:
            if breaker.closed:
                breaker.open(now, max(0, probe_ms) / 1000)
            self._published.add(standing)
        elif not breaker.closed and standing in self._published:
            self._published.discard(standing)
            breaker.close()
