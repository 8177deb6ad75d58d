"""Scripts for Redis that go there together: what is asked while an answer is waited for goes with the next ones, over one
connection. A hundred requests at once cost a few round trips, and no request waits for a connection."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import sha1
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from core import traces
from core.per_loop import PerLoop
from core.redis_clients import RedisClients
from core.redis_reach import Patience
from core.redis_wire import Wire, packed

#: Scripts that go together at most: what the server works on without a break, some tens of milliseconds.
_MOST = 500
#: Seconds that what nobody waits for is kept back, to go with what somebody does.
_LATER_S = 0.005


class ScriptBatches:
    """For a process with several event loops."""

    def __init__(self, clients: RedisClients) -> None:
        self.clients = clients
        self._queues: PerLoop[_Queue] = PerLoop(_nothing)

    def run(self, script: str, keys: Sequence[bytes], arguments: Sequence[Any], *, later: bool = False) -> asyncio.Future[Any]:
        """The answer of a script. `later`: nobody waits for it, and it may go with the next one. Arguments are whole numbers
        or ASCII text.

        Raises:
            redis.RedisError, TimeoutError, OSError: the server is away, or refuses it.
        """
        return self._queues.get(None, lambda: _Queue(self)).put((script, keys, arguments), later=later)

    async def send(self, calls: "Sequence[_Call]") -> list[Any]:
        """The answers of some, errors among them."""
        answers = await self._evaluated(calls)
        unknown = [number for number, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:  # the server is new, or has forgotten them
            again = await self._taught([calls[number] for number in unknown])
            for number, answer in zip(unknown, again, strict=True):
                answers[number] = answer
        return answers

    async def _taught(self, calls: "Sequence[_Call]") -> list[Any]:
        try:
            async with self.clients.asked(patient=True) as client:
                for script in {script for script, _, _ in calls}:
                    await client.script_load(script)
            return await self._evaluated(calls)
        except (RedisError, OSError, TimeoutError) as error:
            return [error] * len(calls)

    async def _evaluated(self, calls: "Sequence[_Call]") -> list[Any]:
        async with self.clients.asked() as client, client.pipeline(transaction=False) as pipeline:
            for script, keys, arguments in calls:
                pipeline.evalsha(_name(script).decode(), len(keys), *keys, *arguments)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
            return answers


_Call = tuple[str, Sequence[bytes], Sequence[Any]]


@lru_cache
def _name(script: str) -> bytes:
    """What Redis calls a script that it knows."""
    return sha1(script.encode(), usedforsecurity=False).hexdigest().encode()


@dataclass(frozen=True, slots=True)
class _Asked:
    call: _Call
    packed: bytes
    answer: asyncio.Future[Any]

    def tell(self, answer: Any) -> None:
        """Errors are raised where it is waited for."""
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class _Queue:
    """The calls of one event loop, one batch of them at a time. They go over its wire, once there is one; through redis-py
    while there is none, where the server does not know a script, and where whoever asks is traced."""

    def __init__(self, batches: ScriptBatches) -> None:
        self._batches, self._reach = batches, batches.clients.reach
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Asked] = []
        self._busy = False
        self._traced: Context | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._patience: Patience | None = None
        self._task: asyncio.Task[None] | None = None
        self._wire: Wire | None = None
        #: How often the server had been away when the wire was opened: one from before may be broken.
        self._ends = 0

    def put(self, call: _Call, *, later: bool) -> asyncio.Future[Any]:
        script, keys, arguments = call
        asked = _Asked(call, packed(_name(script), keys, arguments), self._loop.create_future())
        self._waiting.append(asked)
        if not later:
            if traces.current() is not None:
                self._traced = copy_context()
            self._start()
        elif self._timer is None and not self._busy:
            self._timer = self._loop.call_later(_LATER_S, self._start)
        return asked.answer

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._go)  # with what is asked in the same turn of the loop

    def _go(self) -> None:
        """Send what waits; again, once it is answered, what has come meanwhile."""
        batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        traced, self._traced = self._traced, None
        if not batch:
            self._busy = False
        elif traced is None and (wire := self._usable()) is not None:
            self._patience = Patience(self._reach.wait_s, partial(self._gone, batch, TimeoutError()))
            wire.ask(b"".join([each.packed for each in batch]), len(batch), partial(self._heard, batch))
        else:
            self._task = self._loop.create_task(self._send(batch), context=traced)

    def _usable(self) -> Wire | None:
        wire = self._wire
        usable = wire is not None and wire.is_open and not self._reach.away and self._ends == self._reach.ends
        return wire if usable else None

    def _heard(self, batch: Sequence[_Asked], answers: Sequence[Any] | Exception) -> None:
        if isinstance(answers, Exception):
            self._gone(batch, answers)
            return
        self._end_patience()
        unknown = []
        for each, answer in zip(batch, answers, strict=True):
            if isinstance(answer, NoScriptError):
                unknown.append(each)
            else:
                each.tell(answer)
        if unknown:
            self._task = self._loop.create_task(self._send(unknown))
        else:
            self._go()

    def _gone(self, batch: Sequence[_Asked], error: Exception) -> None:
        """The server is late, or has closed the connection."""
        self._end_patience()
        if self._wire is not None:
            self._wire.give_up()
        self._reach.failed(error, self._ends)
        for each in batch:
            each.tell(error)
        self._go()

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.end()
            self._patience = None

    async def _send(self, batch: Sequence[_Asked]) -> None:
        try:
            answers = await self._batches.send([each.call for each in batch])
        except Exception as error:  # noqa: BLE001 - the boundary of a task: whoever waits is told, whatever it is
            answers = [error] * len(batch)
        except BaseException:  # the loop ends
            for each in batch:
                each.answer.cancel()
            raise
        for each, answer in zip(batch, answers, strict=True):
            each.tell(answer)
        if self._usable() is None and not self._reach.away:
            await self._open()
        self._go()

    async def _open(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.give_back()
        self._ends = self._reach.ends
        with suppress(RedisError, OSError):  # who asks next finds it away
            async with self._batches.clients.asked() as client:
                self._wire = await Wire.opened(client)


async def _nothing(_: _Queue) -> None:
    return None
