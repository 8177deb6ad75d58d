"""The promises of docs/promises.md as functions: the tests call them with small counts, `make prove` with the full ones.

Each raises AssertionError where the platform breaks its word, and returns the figures that it measured.
"""

import asyncio
import itertools
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import httpx
import psutil

from infra import samples
from infra.running import Running, wait_until

DOCUMENTS = "/api/v1/rag/collections/{}/documents"
STORY = {"messages": [{"role": "user", "content": "Tell me a long story about the sea."}]}


def percentile(values: list[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def proportional_memory(platform: Running) -> float:
    """Megabytes (PSS) of the server and all its descendants; a page that several share is counted once."""
    assert platform.process is not None
    server = psutil.Process(platform.process.pid)
    return float(sum(process.memory_full_info().pss for process in [server, *server.children(recursive=True)])) / 2**20


def memory_by_process(platform: Running) -> dict[str, float]:
    """Megabytes (PSS) of each process of the tree, by the end of its command line."""
    assert platform.process is not None
    server = psutil.Process(platform.process.pid)
    tree = [server, *server.children(recursive=True)]
    return {f"{process.pid} {' '.join(process.cmdline())[-60:]}": process.memory_full_info().pss / 2**20 for process in tree}


def start_times(platform: Running) -> dict[str, float]:
    """Seconds from the command to health's `live` and `ready`. Starts the platform."""
    started = time.perf_counter()
    platform.start(ready=False)
    platform.wait_for("/api/v1/health/live")
    live = time.perf_counter() - started
    platform.wait_for("/api/v1/health/ready")
    return {"live_s": live, "ready_s": time.perf_counter() - started}


def first_cited_answer(platform: Running) -> dict[str, float]:
    """Seconds from the command to an answer of the handbook that cites. Starts the platform."""
    started = time.perf_counter()
    platform.start()
    body = {"question": "Which setting chooses the port?", "collection": "handbook"}
    with platform.client() as client:
        wait_until(lambda: _cites(client, body), within_s=60, what="the first cited answer")
    return {"first_cited_answer_s": time.perf_counter() - started}


def _cites(client: httpx.Client, body: dict[str, str]) -> bool:
    answer = client.post("/api/v1/rag", json=body)
    return answer.status_code == 200 and bool(answer.json()["citations"])


def events_across_restarts(platform: Running, job_id: str, *, within_s: float) -> list[tuple[int, str]]:
    """Number and name of each of a job's events, as a browser's EventSource gets them: a connection that breaks is taken up
    after the last event that came whole, until the platform says that all was told."""
    seen: list[tuple[int, str]] = []
    until = time.monotonic() + within_s
    with platform.client(timeout_s=30) as client:
        while time.monotonic() < until:
            headers = {"Last-Event-ID": str(seen[-1][0])} if seen else {}
            try:
                with client.stream("GET", f"/api/v1/jobs/{job_id}/events", headers=headers) as response:
                    if response.status_code == 204:
                        return seen
                    fields: dict[str, str] = {}
                    for line in response.iter_lines() if response.status_code == 200 else ():
                        if line:
                            name, _, value = line.partition(":")
                            fields[name] = value.strip()
                        elif "id" in fields:
                            seen.append((int(fields["id"]), fields["event"]))
                            fields = {}
            except httpx.HTTPError:
                pass  # the platform was killed, or has not come back yet
            time.sleep(0.05)
    raise TimeoutError(f"the events of job {job_id}: not all within {within_s:g} s")


def killed_ingestion(platform: Running, *, files: int, kills: tuple[float, ...]) -> dict[str, float]:
    """Kill a ready platform when each of these shares of an ingestion is done; every file ends there exactly once, and who
    follows the job's events is told each once."""
    started = time.perf_counter()
    with platform.client() as client, ThreadPoolExecutor(1) as following:
        client.post("/api/v1/rag/collections", json={"name": "reports"}).raise_for_status()
        parts = [("files", item) for item in samples.many(files).items()]
        job = client.post(DOCUMENTS.format("reports"), files=parts).raise_for_status().json()["job_id"]
        told = following.submit(events_across_restarts, platform, job, within_s=900)
        for share in kills:
            wait_until(
                lambda share=share: client.get(f"/api/v1/jobs/{job}").json()["progress"]["done"] >= files * share,  # type: ignore[misc]
                within_s=300,
                what=f"{share:.0%} of the documents",
            )
            platform.kill()
            platform.start()
        final = platform.finished_job(client, job, within_s=600)
        assert (final["state"], final["errors"]) == ("succeeded", []), final
        assert final["progress"] == {"done": files, "total": files}, final
        exactly_once(client, "reports", files)
        events = told.result(60)
    assert [number for number, _ in events] == list(range(1, len(events) + 1)), events
    assert [name for _, name in events].index("done") == len(events) - 1, events
    return {"files": files, "kills": len(kills), "events": len(events), "seconds": time.perf_counter() - started}


def exactly_once(client: httpx.Client, collection: str, count: int) -> None:
    """Every document of `samples.many(count)` is ready, and its marker is found in it, in no chunk twice, and nowhere else; by
    meaning, the same chunks are found, each once."""
    rows = every_row(client, DOCUMENTS.format(collection))
    assert sorted(row["name"] for row in rows) == sorted(samples.many(count))
    assert {row["state"] for row in rows} == {"ready"}

    def search(**body: Any) -> list[dict[str, Any]]:
        answer = client.post(f"/api/v1/rag/collections/{collection}/search", json=body).raise_for_status()
        return cast("list[dict[str, Any]]", answer.json()["results"])

    for number in range(count):
        marker = f"marker{number:05d}"
        found = [result for result in search(query=marker, mode="lexical", limit=10) if marker in result["text"]]
        places = {(result["document_id"], result["start"]) for result in found}
        assert len(places) == len(found) >= 1, marker
        assert {result["document"] for result in found} == {f"reports/station-{number:05d}.txt"}, marker
        meant = search(query=marker, mode="dense", limit=100, filter={"document_id": found[0]["document_id"]})
        vectors = [(result["document_id"], result["start"]) for result in meant]
        assert len(set(vectors)) == len(vectors), marker
        assert places <= set(vectors), marker


def every_row(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    """All rows of a list, page by page."""
    rows: list[dict[str, Any]] = []
    query = {"limit": "200"}
    while True:
        page = client.get(path, params=query).raise_for_status().json()
        rows += page["results"]
        if page["next_cursor"] is None:
            return rows
        query["cursor"] = page["next_cursor"]


def asynchronous(platform: Running, timeout_s: float = 180) -> httpx.AsyncClient:
    """For many calls at once, with the administrator's key."""
    return httpx.AsyncClient(
        base_url=platform.url,
        headers={"Authorization": f"Bearer {platform.key}"},
        timeout=timeout_s,
        trust_env=False,
        limits=httpx.Limits(max_connections=200),
    )


async def searches_during_ingestion(platform: Running, *, files: int, at_once: int) -> dict[str, float]:
    """Search without a pause while documents come in, and ask for health beside it: no search may fail."""
    collection = f"busy-{uuid.uuid4().hex[:8]}"
    searches: list[float] = []
    health: list[float] = []
    stop = asyncio.Event()
    body = {"query": "krill sightings at the station", "limit": 5}

    async with asynchronous(platform) as client:

        async def searching() -> None:
            while not stop.is_set():
                started = time.perf_counter()
                answer = await client.post(f"/api/v1/rag/collections/{collection}/search", json=body)
                assert answer.status_code == 200, answer.text
                searches.append(time.perf_counter() - started)

        async def asking_for_health() -> None:
            for path in itertools.cycle(("/api/v1/health/live", "/api/v1/health/ready", "/api/v1/health")):
                if stop.is_set():
                    return
                started = time.perf_counter()
                assert (await client.get(path)).status_code == 200, path
                health.append(time.perf_counter() - started)
                await asyncio.sleep(0.02)

        (await client.post("/api/v1/rag/collections", json={"name": collection})).raise_for_status()
        parts = [("files", item) for item in samples.many(files).items()]
        accepted = await client.post(DOCUMENTS.format(collection), files=parts)
        job = accepted.raise_for_status().json()["job_id"]
        callers = [asyncio.create_task(searching()) for _ in range(at_once)] + [asyncio.create_task(asking_for_health())]
        started = time.perf_counter()
        while (final := (await client.get(f"/api/v1/jobs/{job}")).json())["state"] in ("queued", "running"):
            await asyncio.sleep(0.2)
            assert not any(caller.done() for caller in callers), [caller.exception() for caller in callers if caller.done()]
        seconds = time.perf_counter() - started
        stop.set()
        await asyncio.gather(*callers)
    assert (final["state"], final["errors"]) == ("succeeded", []), final
    return {
        "searches": len(searches),
        "search_p50_ms": percentile(searches, 0.5) * 1000,
        "search_p95_ms": percentile(searches, 0.95) * 1000,
        "health_p95_ms": percentile(health, 0.95) * 1000,
        "documents_per_s": files / seconds,
    }


async def more_generations_than_room(platform: Running, *, room: int, callers: int, max_tokens: int) -> dict[str, float]:
    """Ask for more generations at once than slots and queue (`room`) hold: the rest gets 429 and when to come back."""
    async with asynchronous(platform) as client:
        body = {**STORY, "max_tokens": max_tokens}
        answers = await asyncio.gather(*(client.post("/api/v1/chat", json=body) for _ in range(callers)))
        served = [answer for answer in answers if answer.status_code == 200]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(served) + len(refused) == callers, [answer.text for answer in answers]
        # while the last ones arrive, the first may have been answered
        assert room <= len(served) <= 2 * room, (len(served), len(refused))
        assert refused
        for answer in refused:
            assert answer.json()["error"]["code"] == "queue_full", answer.text
            assert int(answer.headers["retry-after"]) >= 1
        assert (await client.post("/api/v1/chat", json={**body, "max_tokens": 4})).status_code == 200
    return {"served": len(served), "refused": len(refused)}
