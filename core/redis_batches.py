"""Scripts for Redis that go there together: what is asked while an answer is waited for goes with the next ones, over one
connection. A hundred requests at once cost a few round trips, and no request waits for a connection."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha1
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from core.per_loop import PerLoop
from core.redis_clients import RedisClients

#: Scripts that go together at most: what the server works on without a break, some tens of milliseconds.
_MOST = 500
#: Seconds that what nobody waits for is kept back, to go with what somebody does.
_LATER_S = 0.005


class ScriptBatches:
    """For a process with several event loops."""

    def __init__(self, clients: RedisClients) -> None:
        self._clients = clients
        self._queues: PerLoop[_Queue] = PerLoop(_nothing)

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any], *, later: bool = False) -> Any:
        """The answer of a script. `later`: nobody waits for it, and it may go with the next one.

        Raises:
            redis.RedisError, TimeoutError, OSError: the server is away, or refuses it.
        """
        return await self._queues.get(None, lambda: _Queue(self)).put((script, keys, arguments), later=later)

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
            async with self._clients.asked(patient=True) as client:
                for script in {script for script, _, _ in calls}:
                    await client.script_load(script)
            return await self._evaluated(calls)
        except (RedisError, OSError, TimeoutError) as error:
            return [error] * len(calls)

    async def _evaluated(self, calls: "Sequence[_Call]") -> list[Any]:
        async with self._clients.asked() as client, client.pipeline(transaction=False) as pipeline:
            for script, keys, arguments in calls:
                pipeline.evalsha(_name(script), len(keys), *keys, *arguments)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
            return answers


_Call = tuple[str, Sequence[str], Sequence[Any]]


@lru_cache
def _name(script: str) -> str:
    """What Redis calls a script that it knows."""
    return sha1(script.encode(), usedforsecurity=False).hexdigest()


class _Queue:
    """The calls of one event loop."""

    def __init__(self, batches: ScriptBatches) -> None:
        self._batches = batches
        self._waiting: list[tuple[_Call, asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def put(self, call: _Call, *, later: bool) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((call, future))
        if not later:
            self._start()
        elif self._timer is None:
            self._timer = loop.call_later(_LATER_S, self._start)
        return await future

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            try:
                answers = await self._batches.send([call for call, _ in batch])
            except Exception as error:  # noqa: BLE001 - the boundary of a task: whoever waits is told, whatever it is
                answers = [error] * len(batch)
            except BaseException:  # the loop ends
                for _, future in batch:
                    future.cancel()
                raise
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)


async def _nothing(_: _Queue) -> None:
    return None
