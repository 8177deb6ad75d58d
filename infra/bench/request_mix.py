"""What callers do to a gateway in a long day: answers whole and streamed through every door, failures, and hanging up.

For the promise that memory does not grow with the number of requests.
"""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import psutil

from infra.running import Running

_MESSAGES = [{"role": "user", "content": "Say hello"}]


@dataclass(frozen=True)
class Kind:
    """A sort of request, and how many of a hundred are of it. `reads` is how much of the answer the caller takes before it
    hangs up: None all of it, 0 not even the status."""

    name: str
    share: int
    path: str
    body: Any
    status: int = 200
    reads: int | None = None


def _chat(model: str = "mock", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": _MESSAGES, **more}


KINDS = (
    Kind("whole", 35, "/v1/chat/completions", _chat()),
    Kind("streamed", 15, "/v1/chat/completions", _chat(stream=True)),
    Kind("REST", 10, "/api/v1/chat", _chat()),
    Kind("REST streamed", 5, "/api/v1/chat", _chat(stream=True)),
    Kind("LangServe", 10, "/api/v1/chat/invoke", {"input": _chat()}),
    Kind("LangServe streamed", 5, "/api/v1/chat/stream", {"input": _chat()}),
    Kind("failing", 5, "/v1/chat/completions", _chat("mock-failing"), status=502),
    Kind("cut", 3, "/v1/chat/completions", _chat("mock-cut", stream=True)),
    Kind("malformed", 3, "/api/v1/chat", {"messages": [{"role": "user", "content": 7}]}, status=422),
    Kind("hung up in a stream", 6, "/v1/chat/completions", _chat("mock-paced", stream=True), reads=64),
    Kind("hung up before the answer", 3, "/v1/chat/completions", _chat("mock-20ms"), reads=0),
)


async def make(platform: Running, key: str, count: int, *, at_once: int = 16) -> Counter[tuple[str, int]]:
    """Make `count` requests of all kinds in turn: how many of each kind had which status, 0 where the caller hung up.

    Raises:
        AssertionError: an answer has another status than its kind's.
    """
    answers: Counter[tuple[str, int]] = Counter()
    turn = _turns()
    headers = {"authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(
        platform.url, headers=headers, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=60)
    ) as session:
        left = iter(range(count))

        async def caller() -> None:
            for _ in left:
                kind = next(turn)
                answers[kind.name, await _one(session, kind)] += 1

        await asyncio.gather(*(caller() for _ in range(at_once)))
    expected = {(kind.name, kind.status if kind.reads is None else 0) for kind in KINDS}
    assert answers.keys() <= expected, answers
    return answers


def resident_mb(platform: Running) -> float:
    """Megabytes (RSS) of the server's own process."""
    assert platform.process is not None
    return float(psutil.Process(platform.process.pid).memory_info().rss) / 2**20


def _turns() -> Iterator[Kind]:
    """Every kind by its share, spread evenly."""
    hundred = [(position / kind.share, kind) for kind in KINDS for position in range(kind.share)]
    return itertools.cycle([kind for _, kind in sorted(hundred, key=lambda each: each[0])])


async def _one(session: aiohttp.ClientSession, kind: Kind) -> int:
    asked = session.post(kind.path, data=json.dumps(kind.body), headers={"content-type": "application/json"})
    if kind.reads == 0:
        try:
            async with asyncio.timeout(0.005):
                async with asked:
                    return 0
        except TimeoutError:
            return 0
    async with asked as response:
        if kind.reads is None:
            await response.read()
            return response.status
        await response.content.read(kind.reads)
        response.close()
        return 0
