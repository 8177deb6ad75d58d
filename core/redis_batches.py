"""Scripts for Redis that go there together: what is asked while an answer is waited for goes with the next ones, over one
connection. A hundred requests at once cost a few round trips, and no request waits for a connection."""

import asyncio
from collections.abc import Sequence
from typing import Any

from core.per_loop import PerLoop
from core.redis_clients import RedisClients

#: Scripts that go together at most: what the server works on without a break, some tens of milliseconds.
_MOST = 500


class ScriptBatches:
    """For a process with several event loops."""

    def __init__(self, clients: RedisClients) -> None:
        self._clients = clients
        self._scripts: dict[str, Any] = {}
        self._queues: PerLoop[_Queue] = PerLoop(_nothing)

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """The answer of a script.

        Raises:
            redis.RedisError, TimeoutError, OSError: the server is away, or refuses it.
        """
        return await self._queues.get(None, lambda: _Queue(self)).put((script, keys, arguments))

    async def send(self, calls: "Sequence[_Call]") -> list[Any]:
        """The answers of some, errors among them."""
        client = self._clients.get()
        async with client.pipeline(transaction=False) as pipeline:
            for script, keys, arguments in calls:
                if script not in self._scripts:
                    self._scripts[script] = client.register_script(script)
                await self._scripts[script](keys=keys, args=arguments, client=pipeline)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
            return answers


_Call = tuple[str, Sequence[str], Sequence[Any]]


class _Queue:
    """The calls of one event loop."""

    def __init__(self, batches: ScriptBatches) -> None:
        self._batches = batches
        self._waiting: list[tuple[_Call, asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None

    async def put(self, call: _Call) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._send())
        return await future

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
