"""Steady requests to servers while what they stand on goes away and comes back: how all were answered, how soon, and what the
logs say of it."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from infra.bench.promises import percentile
from infra.running import Running

#: Seconds after which nobody is believed to answer any more.
HANGS_S = 20.0
#: What a log says of one request, however many there are.
_OF_REQUESTS = ("request.", "answer.")
#: Milliseconds that an outage may add to the slowest of a hundred answers.
ADDED_MS = 50.0
#: Seconds until everything is as before, once what was away is there again.
RECOVERED_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One request's. `status` is 0 where the connection broke and -1 where nothing came."""

    caller: str
    server: int
    began: float
    seconds: float
    status: int
    code: str | None


@dataclass(slots=True)
class Steady:
    """Requests at a steady rate, whatever became of the earlier ones: each caller's to each server in turn."""

    servers: Sequence[Running]
    callers: dict[str, str]
    per_s: float
    answers: list[Answer] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Steady"]:
        """For the block; every answer has come after it."""
        limits = httpx.Limits(
            max_connections=None, max_keepalive_connections=None, keepalive_expiry=2
        )  # before a server closes it
        async with httpx.AsyncClient(timeout=HANGS_S, trust_env=False, limits=limits) as client:
            sending = asyncio.create_task(self._send(client))
            try:
                yield self
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                await asyncio.gather(*self._tasks)

    async def during(self, seconds: float) -> list[Answer]:
        """What was begun within so many seconds from now, once it is answered."""
        begin = time.monotonic()
        await asyncio.sleep(seconds)
        end = time.monotonic()
        await asyncio.gather(*self._tasks)
        return self.between(begin, end)

    def between(self, begin: float, end: float) -> list[Answer]:
        """What was begun then and is answered."""
        return [answer for answer in self.answers if begin <= answer.began < end]

    async def _send(self, client: httpx.AsyncClient) -> None:
        turns = [(name, number) for number in range(len(self.servers)) for name in self.callers]
        due = time.monotonic()
        while True:
            for name, number in turns:
                task = asyncio.create_task(self._one(client, name, number))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                due += 1 / self.per_s
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _one(self, client: httpx.AsyncClient, caller: str, number: int) -> None:
        headers = {"authorization": f"Bearer {self.callers[caller]}"}
        body = {"model": "mock", "messages": [{"role": "user", "content": "Say hello"}], "max_tokens": 64}
        began, code = time.monotonic(), None
        try:
            answer = await client.post(f"{self.servers[number].url}/api/v1/chat", json=body, headers=headers)
        except httpx.TimeoutException:
            status = -1
        except httpx.TransportError:
            status = 0
        else:
            status = answer.status_code
            code = None if status == 200 else answer.json()["error"]["code"]
        self.answers.append(Answer(caller, number, began, time.monotonic() - began, status, code))


def p99_ms(answers: Iterable[Answer]) -> float:
    """What one of a hundred takes longer than."""
    return percentile([answer.seconds for answer in answers], 0.99) * 1000


def codes(answers: Iterable[Answer]) -> Counter[str]:
    """How often each came: `200`, an error's code, or what became of the connection."""
    names = {200: "200", 0: "broken", -1: "nothing"}
    return Counter(names.get(answer.status) or answer.code or str(answer.status) for answer in answers)


class Log:
    """What a server has written since one began to look. Lines that tell of one request are left out."""

    def __init__(self, server: Running) -> None:
        self._server = server
        self._seen = len(server.output())

    def lines(self) -> list[dict[str, Any]]:
        found = []
        for line in self._server.output()[self._seen :].splitlines():
            try:
                said = json.loads(line)
            except ValueError:
                said = {"event": line[:80]}
            if said.get("level") != "debug" and not str(said.get("event")).startswith(_OF_REQUESTS):
                found.append(said)
        return found

    def events(self) -> Counter[str]:
        return Counter(str(line.get("event")) for line in self.lines())
