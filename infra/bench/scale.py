"""`make bench-scale`: what a request, a streamed token, an ingested document, a ledger row and a message cost, on servers and
workers behind a proxy, and what follows for a load that this machine cannot carry. Judges nothing.

    python -m infra.bench.scale [--servers 4] [--workers 2] [--requests 4000] [--streams 200] [--documents 400]
        [--for-streams 10000] [--tokens-per-s 50] [--for-ingestions 1000]

Everything runs here and on the loopback interface, the load generator and the provider too: rates are of a machine that does
all of that at once. What is counted on is processor time (of each part's own processes), which other work disturbs least.
"""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil
from redis import Redis
from rich.console import Console
from rich.table import Table

from core.ledger import Entry, Ledger
from core.queue import NAMESPACE, Queue
from core.settings import Settings
from infra.bench.cluster import Cluster, cluster
from infra.bench.mock_provider import PACE_S, PACED
from infra.bench.proxy import Missing
from infra.bench.rolling import KINDS
from infra.running import Running

_WHOLE, _STREAM = KINDS[0], KINDS[3]
_TOKENS = PACED["mock-long"]
_AT_ONCE = 16
_ROWS, _MESSAGES = 20_000, 5_000
#: Share of a core that is planned with: the rest is for peaks, and for what a server does beside answering.
PLANNED: Final = 0.6


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured. Processor time in milliseconds, by part: server, worker, proxy, postgresql, valkey."""

    request: Mapping[str, float]
    token: Mapping[str, float]
    document: Mapping[str, float]
    requests_per_s: float
    #: How many times as long as the provider's own pace the streams took.
    stretched: float
    documents_per_s: float
    ledger_rows_per_s: float
    messages_per_s: float
    #: Resident, in megabytes: of an idle process, and what an open stream adds to its server's.
    server_mb: float
    worker_mb: float
    stream_mb: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a load needs, extrapolated from costs."""

    server_cores: float
    worker_cores: float
    proxy_cores: float
    postgresql_cores: float
    valkey_cores: float
    server_processes: int
    worker_processes: int
    server_gb: float
    ledger_rows_per_s: float


def plan(costs: Costs, *, streams: int, tokens_per_s: float, tokens: float, ingestions_per_s: float) -> Plan:
    """For so many streams at once, of `tokens` each at `tokens_per_s` each, and so many documents a second beside them. A
    process of the server or worker uses one core, of which `PLANNED` is planned with."""
    begun = streams * tokens_per_s / tokens  # streams a second

    def cores(part: str) -> float:
        answering = streams * tokens_per_s * costs.token.get(part, 0) + begun * costs.request.get(part, 0)
        return (answering + ingestions_per_s * costs.document.get(part, 0)) / 1000

    servers, workers = -(-cores("server") // PLANNED), -(-cores("worker") // PLANNED)
    return Plan(
        server_cores=cores("server"),
        worker_cores=cores("worker"),
        proxy_cores=cores("proxy"),
        postgresql_cores=cores("postgresql"),
        valkey_cores=cores("valkey"),
        server_processes=int(servers),
        worker_processes=int(workers),
        server_gb=(servers * costs.server_mb + streams * costs.stream_mb) / 1024,
        ledger_rows_per_s=begun + ingestions_per_s,
    )


class _Parts:
    """Processor time of a cluster's parts. Children count; one that has ended does not."""

    def __init__(self, it: Cluster) -> None:
        self._roots = {
            "server": [_process(one) for one in it.servers],
            "worker": [_process(one) for one in it.workers],
            "proxy": [psutil.Process(it.proxy.pid)],
            "postgresql": [psutil.Process(it.postgresql.pid)],
            "valkey": [psutil.Process(it.valkey.pid)],
        }
        self._seen: dict[str, float] = {}

    def spent_ms(self) -> dict[str, float]:
        """Of each part, since this was asked last."""
        now = {part: sum(_cpu_s(one) for one in roots) for part, roots in self._roots.items()}
        spent = {part: (value - self._seen.get(part, 0)) * 1000 for part, value in now.items()}
        self._seen = now
        return spent

    def resident_mb(self, part: str) -> float:
        """Of one process, on average."""
        roots = self._roots[part]
        return sum(float(one.memory_info().rss) for one in roots) / len(roots) / 2**20


def _process(one: Running) -> psutil.Process:
    assert one.process is not None
    return psutil.Process(one.process.pid)


def _cpu_s(process: psutil.Process) -> float:
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            used = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += used.user + used.system
    return total


def _each(spent: Mapping[str, float], count: float) -> dict[str, float]:
    return {part: value / count for part, value in spent.items()}


@asynccontextmanager
async def _session(it: Cluster) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"authorization": f"Bearer {it.key}"}
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(
        it.proxy.url, headers=headers, connector=aiohttp.TCPConnector(limit=0), timeout=timeout
    ) as one:
        yield one


async def measured(it: Cluster, *, requests: int, streams: int, documents: int) -> Costs:
    """Load it with one kind of work after the other.

    Raises:
        AssertionError: something was not answered, or an ingestion failed.
    """
    parts = _Parts(it)
    async with _session(it) as session:
        await _whole(session, 20 * len(it.servers))  # what is imported late is there
        server_mb, worker_mb = parts.resident_mb("server"), parts.resident_mb("worker")
        parts.spent_ms()
        took = await _whole(session, requests)
        request, requests_per_s = _each(parts.spent_ms(), requests), requests / took
        stretched, open_mb = await _streamed(session, parts, streams)
        of_streams = parts.spent_ms()
        begun = {part: streams * request[part] for part in of_streams}
        token = {part: max(0.0, value - begun[part]) / (streams * _TOKENS) for part, value in of_streams.items()}
        took = await _ingested(it, session, documents)
        document = _each(parts.spent_ms(), documents)
        rows = await asyncio.to_thread(_ledger_rows_per_s, it.servers[0])
        messages = await _messages_per_s(it.valkey.url)
    return Costs(
        request=request,
        token=token,
        document=document,
        requests_per_s=requests_per_s,
        stretched=stretched,
        documents_per_s=documents / took,
        ledger_rows_per_s=rows,
        messages_per_s=messages,
        server_mb=server_mb,
        worker_mb=worker_mb,
        stream_mb=max(0.0, open_mb - server_mb) * len(it.servers) / streams,
    )


async def _whole(session: aiohttp.ClientSession, requests: int) -> float:
    left = iter(range(requests))

    async def caller() -> None:
        for _ in left:
            async with session.post(_WHOLE.path, json=_WHOLE.body) as answer:
                assert _WHOLE.ends in await answer.read(), answer.status

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(_AT_ONCE)))
    return time.perf_counter() - began


async def _streamed(session: aiohttp.ClientSession, parts: _Parts, streams: int) -> tuple[float, float]:
    """How much longer than the provider's pace they took, and what a server had of memory meanwhile."""

    async def one() -> float:
        began = time.perf_counter()
        async with session.post(_STREAM.path, json=_STREAM.body) as answer:
            text = await answer.read()
        assert _STREAM.ends in text, text[-300:]
        return time.perf_counter() - began

    running = [asyncio.create_task(one()) for _ in range(streams)]
    await asyncio.sleep(_TOKENS * PACE_S * 0.7)
    open_mb = parts.resident_mb("server")
    took = await asyncio.gather(*running)
    return sorted(took)[len(took) // 2] / (_TOKENS * PACE_S), open_mb


async def _ingested(it: Cluster, session: aiohttp.ClientSession, documents: int) -> float:
    """Seconds until small documents, ten an upload, are all in."""
    async with session.post("/api/v1/rag/collections", json={"name": "scale"}) as made:
        assert made.status in (201, 409), await made.text()
    began, jobs = time.perf_counter(), []
    for first in range(0, documents, 10):
        given = [
            {"name": f"{first + number}.md", "text": f"Pump {first + number} lifts {number} litres a second. " * 12}
            for number in range(10)
        ]
        async with session.post("/api/v1/rag/collections/scale/documents", json={"documents": given}) as answer:
            assert answer.status == 202, await answer.text()
            jobs.append((await answer.json())["job_id"])

    def wait() -> None:
        with it.servers[0].client() as client:
            for job in jobs:
                assert it.servers[0].finished_job(client, job)["state"] == "succeeded"

    await asyncio.to_thread(wait)
    return time.perf_counter() - began


def _ledger_rows_per_s(server: Running) -> float:
    """Rows that one process's writer puts into PostgreSQL, when they come faster than it writes."""
    settings = Settings.load(
        database_url=server.settings["GENAI_DATABASE_URL"], data_dir=server.directory / "ledger", secret_key="s" * 32
    )
    book = Ledger(settings)
    try:
        began = time.perf_counter()
        for number in range(_ROWS):
            while book.waiting > 5_000:
                time.sleep(0.005)
            book.record(_entry(number))
        while book.waiting:
            time.sleep(0.005)
        return _ROWS / (time.perf_counter() - began)
    finally:
        book.close()


def _entry(number: int) -> Entry:
    told: dict[str, Any] = {
        "alias": "mock",
        "provider": "mock",
        "model": "mock",
        "capability": "chat",
        "status": "ok",
        "latency_ms": 20.0,
    }
    return Entry(request_id=f"scale_{number}", tenant="default", principal="system", **told)


async def _messages_per_s(url: str) -> float:
    """Messages that one process puts into a queue of the broker's that nobody reads."""
    queue = Queue(url)
    try:
        began = time.perf_counter()
        assert await queue.send_all("nobody", [(number,) for number in range(_MESSAGES)], queue="scale")
        took = time.perf_counter() - began
    finally:
        queue.close()
    with Redis.from_url(url) as client:
        client.delete(f"{NAMESPACE}:scale", f"{NAMESPACE}:scale.msgs")
    return _MESSAGES / took


def tables(costs: Costs, wanted: Plan, *, what: str) -> Sequence[Table]:
    """For people to read, and for docs/scaling.md."""
    one = Table(title="measured: processor time, ms", title_justify="left", box=None)
    for name in ("", *costs.request):
        one.add_column(name, justify="left" if not name else "right")
    for name, spent in (("a whole request", costs.request), ("a streamed token", costs.token), ("a document", costs.document)):
        one.add_row(name, *(f"{value:.3f}" for value in spent.values()))
    two = Table(title="measured", title_justify="left", box=None, show_header=False)
    for name, value in (
        ("whole requests a second", f"{costs.requests_per_s:.0f}"),
        ("streams took, times the provider's pace", f"{costs.stretched:.2f}"),
        ("documents a second", f"{costs.documents_per_s:.1f}"),
        ("ledger rows a second, one writer", f"{costs.ledger_rows_per_s:.0f}"),
        ("messages a second into the broker, one sender", f"{costs.messages_per_s:.0f}"),
        (
            "memory of an idle server, of a worker, of an open stream",
            f"{costs.server_mb:.0f} MB, {costs.worker_mb:.0f} MB, {costs.stream_mb * 1024:.0f} KB",
        ),
    ):
        two.add_row(name, value)
    three = Table(title=f"extrapolated: {what}", title_justify="left", box=None, show_header=False)
    for name in Plan.__dataclass_fields__:
        value = getattr(wanted, name)
        three.add_row(name.replace("_", " "), f"{value:.1f}" if isinstance(value, float) else str(value))
    return one, two, three


def main() -> int:
    """Start everything, load it, print what it cost and what follows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--streams", type=int, default=200, help="at once")
    parser.add_argument("--documents", type=int, default=400)
    parser.add_argument("--for-streams", type=int, default=10_000)
    parser.add_argument("--tokens-per-s", type=float, default=50, help="of each of those streams")
    parser.add_argument("--for-ingestions", type=float, default=1000, help="documents a second")
    chosen = parser.parse_args()
    console = Console(highlight=False, width=130)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="genai-scale-") as place,
            cluster(Path(place) / "platform", servers=chosen.servers, workers=chosen.workers) as it,
        ):
            costs = asyncio.run(measured(it, requests=chosen.requests, streams=chosen.streams, documents=chosen.documents))
    except Missing as reason:
        console.print(str(reason), markup=False)
        return 2
    wanted = plan(
        costs,
        streams=chosen.for_streams,
        tokens_per_s=chosen.tokens_per_s,
        tokens=_TOKENS,
        ingestions_per_s=chosen.for_ingestions,
    )
    when = datetime.now(UTC).date()
    console.print(f"{when}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.system()} {platform.machine()}")
    console.print(f"{chosen.servers} servers, {chosen.workers} workers, {chosen.streams} streams at once")
    what = f"{chosen.for_streams} streams at {chosen.tokens_per_s:g} tokens/s and {chosen.for_ingestions:g} documents/s"
    for table in tables(costs, wanted, what=what):
        console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
