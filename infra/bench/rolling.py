"""Servers and workers that are replaced one by one behind a proxy, and a database that is restarted, with callers all the
while: no request is lost, no stream is cut, and every call of the provider is in the ledger.

A caller repeats what is refused with a stable code and `Retry-After`, and that alone, while the database is away.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import aiohttp
import httpx
import orjson

from infra.bench import counting, gateway
from infra.bench.cluster import STARTS_S, Cluster
from infra.running import Running, wait_until

#: For the servers: load balancers have this long to notice, and open answers longer than any takes here.
SETTINGS: Final = {"GENAI_SHUTDOWN__NOTICE_S": "3", "GENAI_SHUTDOWN__GRACE_S": "60"}
#: Of a server whose open answers are to be cut off.
_HASTY: Final = {"GENAI_SHUTDOWN__NOTICE_S": "0", "GENAI_SHUTDOWN__GRACE_S": "0.5"}
#: Seconds within which whoever is refused meanwhile is answered, once the database is back.
_RECOVERED_S: Final = 15.0
_COLLECTION: Final = "/api/v1/rag/collections/rolling"


@dataclass(frozen=True, slots=True)
class Kind:
    """A request, and what ends a whole answer to it."""

    name: str
    path: str
    body: dict[str, Any]
    ends: bytes


def _asked(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Say hello"}], **more}


KINDS: Final = (
    Kind("chat", "/api/v1/chat", _asked("mock"), b'"output"'),
    Kind("chat streamed", "/api/v1/chat", _asked("mock-paced", stream=True), b"event: done\n"),
    Kind("openai", "/v1/chat/completions", _asked("mock-20ms"), b'"choices"'),
    Kind("openai streamed long", "/v1/chat/completions", _asked("mock-long", stream=True), b"data: [DONE]"),
    Kind("invoke", "/api/v1/chat/invoke", {"input": _asked("mock-20ms")}, b'"output"'),
    Kind("langserve streamed", "/api/v1/chat/stream", {"input": _asked("mock-paced")}, b"event: end\n"),
    Kind("chat streamed long", "/api/v1/chat", _asked("mock-long", stream=True), b"event: done\n"),
)


@dataclass(slots=True)
class Load:
    """What callers do through the proxy, and what they have seen."""

    url: str
    key: str
    whole: Counter[str] = field(default_factory=Counter)
    #: Refusals that a caller may repeat, with when they came, by the monotonic clock.
    repeated: list[tuple[float, str]] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    jobs: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        return self.whole.total() + self.failed.total()

    @asynccontextmanager
    async def running(self, callers: int) -> AsyncIterator["Load"]:
        """Callers for the block, and one who adds documents; each answer has come after it."""
        stop = asyncio.Event()
        headers = {"authorization": f"Bearer {self.key}"}
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(self.url, headers=headers, connector=_connector(), timeout=timeout) as session:
            calling = [asyncio.create_task(self._call(session, number, stop)) for number in range(callers)]
            calling.append(asyncio.create_task(self._add(session, stop)))
            try:
                yield self
            finally:
                stop.set()
                await asyncio.gather(*calling)

    async def more(self, requests: int) -> None:
        """Until so many more are answered."""
        until, end = self.done + requests, time.monotonic() + 300
        while self.done < until:
            assert time.monotonic() < end, f"{self.done} of {until} requests"
            await asyncio.sleep(0.05)

    async def _call(self, session: aiohttp.ClientSession, number: int, stop: asyncio.Event) -> None:
        for turn in count(number):
            if stop.is_set():
                return
            kind = KINDS[turn % len(KINDS)]
            await self._until_answered(session, kind.name, kind.path, kind.body, kind.ends)

    async def _add(self, session: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        for turn in count():
            if stop.is_set():
                return
            body = {"documents": [{"name": f"{turn}.md", "text": f"Crane {turn} lifts {turn + 3} tonnes of steel."}]}
            answer = await self._until_answered(session, "document", f"{_COLLECTION}/documents", body, b'"job_id"')
            self.jobs += [orjson.loads(answer)["job_id"]] if answer else []
            await asyncio.sleep(0.5)

    async def _until_answered(
        self, session: aiohttp.ClientSession, name: str, path: str, body: dict[str, Any], ends: bytes
    ) -> bytes:
        while True:
            try:
                async with session.post(path, json=body) as response:
                    answer = await response.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                self.failed[f"{name}: {type(error).__name__}: {error}"[:160]] += 1
                return b""
            if response.status < 300 and ends in answer and b"event: error" not in answer:
                self.whole[name] += 1
                return answer
            if response.status == 503 and "retry-after" in response.headers:
                self.repeated.append((time.monotonic(), _code(answer)))
                await asyncio.sleep(float(response.headers["retry-after"]))
                continue
            self.failed[f"{name}: {response.status} {answer[-160:]!r}"] += 1
            return b""


def _connector() -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(limit=0, force_close=True)


def _code(answer: bytes) -> str:
    try:
        return str(orjson.loads(answer)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return answer[:60].decode(errors="replace")


async def rolling(it: Cluster, *, callers: int, requests: int, restarted: int) -> dict[str, float]:
    """Replace so many of the servers and all workers, one by one, with `requests` answered at least between two steps, restart
    the database in the middle, and cut the answers of the server that was replaced last.

    Raises:
        AssertionError: a request was lost or refused, a stream was cut, or a call is not in the ledger.
    """
    with it.servers[0].client() as client:
        client.post("/api/v1/rag/collections", json={"name": "rolling"}).raise_for_status()
    load = Load(it.proxy.url, it.key)
    drained: list[float] = []
    replaced = list(enumerate(it.servers))[-restarted:]
    async with load.running(callers):
        await load.more(requests)
        for turn, (number, server) in enumerate(replaced):
            if server is replaced[-1][1]:
                server.settings |= _HASTY  # as it comes back
            drained.append(await asyncio.to_thread(_replace, it, number, server))
            await load.more(requests)
            if turn == (restarted - 1) // 2:
                away, back = await asyncio.to_thread(_restart_database, it)
                await load.more(requests)
        for worker in it.workers:
            await asyncio.to_thread(worker.stop, 60)
            await asyncio.to_thread(worker.start)
            await load.more(requests)
    assert not load.failed, load.failed.most_common(5)
    outside = [code for at, code in load.repeated if not away <= at <= back + _RECOVERED_S]
    assert not outside, Counter(outside)
    cut = await _cut_off(it, replaced[-1][1])
    with it.servers[0].client() as client:
        ended = [it.servers[0].finished_job(client, job) for job in load.jobs]
    assert {job["state"] for job in ended} <= {"succeeded"}, [job for job in ended if job["state"] != "succeeded"][:3]
    calls = await asyncio.to_thread(gateway.served, it.provider)
    ledger = await asyncio.to_thread(counting.settled, it.servers[0], calls["calls"])
    assert ledger["attempts"] == calls["calls"], (ledger, calls)
    return {
        "servers": len(it.servers),
        "requests": load.whole.total(),
        "streams": sum(number for name, number in load.whole.items() if "streamed" in name),
        "lost": 0,
        "cut": 0,
        "repeated": len(load.repeated),
        "jobs": len(load.jobs),
        "slowest_drain_s": max(drained),
        "told_server_stopping": cut,
        "calls": calls["calls"],
        "ledger": ledger["attempts"],
    }


def _replace(it: Cluster, number: int, server: Running) -> float:
    """As an operator does: SIGTERM, its end, a new one, until the proxy asks it again. Seconds that the drain has taken."""
    assert server.process is not None
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: _is_leaving(server), within_s=2.5, what="readiness turned off")
    it.proxy.wait_for(number, "DOWN")
    assert server.stop(100) == 0
    took = time.monotonic() - began
    server.start(within_s=STARTS_S)
    it.proxy.wait_for(number, "UP")
    return took


def _is_leaving(server: Running) -> bool:
    answer = httpx.get(f"{server.url}/api/v1/health/ready", trust_env=False, timeout=5)
    return answer.status_code == 503 and answer.json()["status"] == "stopping"


def _restart_database(it: Cluster) -> tuple[float, float]:
    """When it went, and when it was back, by the monotonic clock."""
    away = time.monotonic()
    it.postgresql.stop()
    it.postgresql.start()
    return away, time.monotonic()


async def _cut_off(it: Cluster, server: Running) -> int:
    """Streams of a server whose grace is shorter than they are; how many were told so."""
    kinds = [kind for kind in KINDS if kind.name.endswith("streamed long")] * 3
    headers = {"authorization": f"Bearer {it.key}"}
    async with aiohttp.ClientSession(server.url, headers=headers, connector=_connector()) as session:
        opened = await asyncio.gather(*(session.post(kind.path, json=kind.body) for kind in kinds))
        for stream in opened:
            assert (await stream.content.readline()).startswith((b"event:", b"data:"))
        stopping = asyncio.create_task(asyncio.to_thread(server.stop, 60))
        texts = [await stream.read() for stream in opened]
        assert await stopping == 0
    for text in texts:
        assert b"server_stopping" in _blocks(text)[-1], text[-300:]
    return len(texts)


def _blocks(text: bytes) -> list[bytes]:
    return [block for block in text.split(b"\n\n") if block.strip()]
