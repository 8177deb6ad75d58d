"""`make bench`: what this machine gets out of the platform. Prints figures and judges none of them."""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from infra import samples
from infra.bench.promises import memory_by_process, percentile, proportional_memory, searches_during_ingestion, start_times
from infra.events import events
from infra.running import Running, running

STARTS = 3
FILES = 60
SEARCHES = 200


def main() -> None:
    """Measure part by part and print a table at the end."""
    console = Console()
    table = Table("figure", "value", box=None)
    with tempfile.TemporaryDirectory() as place, console.status("measuring") as status:
        for name, part in PARTS.items():
            status.update(name)
            for figure, value in part(Path(place, part.__name__)).items():
                table.add_row(figure, value)
    console.print(table)


def starts(place: Path) -> dict[str, str]:
    """Cold start: to `live` and to `ready`; the first start makes the data directory."""
    runs = []
    for _ in range(STARTS):
        platform = Running(place)
        runs.append(start_times(platform))
        platform.stop()
    return {
        f"start to {name.removesuffix('_s')}": " ".join(f"{run[name]:.2f}" for run in runs) + " s"
        for name in ("live_s", "ready_s")
    }


def memory(place: Path) -> dict[str, str]:
    """PSS of the whole process tree: after the first start has brought the handbook in, idle before any model has loaded
    (the second start: the handbook is there), and after the chat model has answered."""
    with running(place, GENAI_LOCAL__WARM="false") as platform, platform.client() as client:
        for job in client.get("/api/v1/jobs").json()["results"]:
            platform.finished_job(client, job["id"])
        brought_in = proportional_memory(platform)
    with running(place, GENAI_LOCAL__WARM="false") as platform, platform.client() as client:
        time.sleep(5)  # what starts in the background has started
        idle, parts = proportional_memory(platform), memory_by_process(platform)
        client.post("/api/v1/chat", json={"messages": [{"role": "user", "content": "Hello"}]}).raise_for_status()
        loaded = proportional_memory(platform)
    rows = {
        "memory idle, no model loaded (PSS)": f"{idle:.0f} MB",
        "memory with the chat model (PSS)": f"{loaded:.0f} MB",
        "memory after the handbook came in (PSS)": f"{brought_in:.0f} MB",
    }
    return rows | {f"  idle {name}": f"{size:.0f} MB" for name, size in parts.items()}


def first_token(place: Path) -> dict[str, str]:
    """Seconds to the first token of a streamed chat, and tokens a second after it."""
    firsts, rates = [], []
    with running(place, GENAI_HANDBOOK="false") as platform, platform.client() as client:
        for number in range(6):
            body = {"messages": [{"role": "user", "content": f"Tell me about the sea, part {number}."}], "max_tokens": 100}
            first, rate = _stream(client, {**body, "stream": True})
            firsts.append(first)
            rates.append(rate)
    return {
        "first token (median of 5)": f"{statistics.median(firsts[1:]) * 1000:.0f} ms",
        "tokens a second, one caller": f"{statistics.median(rates[1:]):.0f}",
    }


def _stream(client: httpx.Client, body: dict[str, object]) -> tuple[float, float]:
    started = time.perf_counter()
    first, pieces = 0.0, 0
    with client.stream("POST", "/api/v1/chat", json=body) as response:
        for name, _ in events(response):
            if name == "token":
                first = first or time.perf_counter() - started
                pieces += 1
    return first, pieces / (time.perf_counter() - started - first)


def retrieval(place: Path) -> dict[str, str]:
    """Ingestion alone, searches alone, and both at once."""
    with running(place, GENAI_HANDBOOK="false") as platform, platform.client() as client:
        started = time.perf_counter()
        platform.ingest(client, "reports", samples.many(FILES))
        rate = FILES / (time.perf_counter() - started)
        seconds = []
        for number in range(SEARCHES):
            began = time.perf_counter()
            body = {"query": f"krill sightings near station {number}", "limit": 10}
            client.post("/api/v1/rag/collections/reports/search", json=body).raise_for_status()
            seconds.append(time.perf_counter() - began)
        both = asyncio.run(searches_during_ingestion(platform, files=FILES, at_once=32))
    return {
        f"ingestion, {FILES} text files": f"{rate:.1f} documents/s",
        "search p50 / p95": f"{percentile(seconds, 0.5) * 1000:.1f} / {percentile(seconds, 0.95) * 1000:.1f} ms",
        "32 searches at once during an ingestion, p50 / p95": f"{both['search_p50_ms']:.0f} / {both['search_p95_ms']:.0f} ms",
        "  health p95 meanwhile": f"{both['health_p95_ms']:.0f} ms",
        "  ingestion meanwhile": f"{both['documents_per_s']:.1f} documents/s",
    }


PARTS = {"cold start": starts, "memory": memory, "first token": first_token, "ingestion and search": retrieval}

if __name__ == "__main__":
    main()
