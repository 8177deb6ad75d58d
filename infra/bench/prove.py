"""`make prove`: the promises at their full counts. What has been proved at this commit is not proved again; --again does."""

import argparse
import asyncio
import hashlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from rich.console import Console

from infra.bench import (
    accounting_cost,
    authentication,
    away,
    canaries,
    counting,
    fuzzing,
    gateway,
    overspending,
    promises,
    request_mix,
    resealing,
)
from infra.bench import faults as failover
from infra.postgresql import database_of_platform, postgresql
from infra.running import ROOT, Running, running, wait_until

RECORD = ROOT / ".prove.json"
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much of each is done; the defaults are what is promised."""

    starts: int = 5
    settle_s: float = 10
    files: int = 200
    kills: tuple[float, ...] = (0.1, 0.4, 0.8)
    callers: int = 60
    max_tokens: int = 60
    requests: int = 100_000
    calls: int = 2_000
    cases: int = 1_000
    room: int = 50
    rotations: int = 3
    readers: int = 16
    authenticated: int = 20_000
    away_s: float = 30
    rounds: int = 5
    #: What cases are drawn from; None: a fresh one, which is told.
    seed: int | None = None

    @property
    def is_small(self) -> bool:
        """Whether nothing is promised at these counts."""
        return self.calls < Counts().calls


#: To see in a few minutes that the parts work. Nothing is promised at these counts, nor recorded.
SMALL = Counts(
    starts=1,
    settle_s=2,
    files=12,
    kills=(0.3,),
    callers=24,
    max_tokens=20,
    requests=1000,
    calls=200,
    cases=20,
    room=6,
    rotations=1,
    readers=3,
    authenticated=1000,
    away_s=4,
    rounds=1,
)


def start(place: Path, counts: Counts) -> Figures:
    """Live within 3 s and ready within 15 s of the command, five times."""
    worst = {"live_s": 0.0, "ready_s": 0.0}
    for _ in range(counts.starts):
        platform = Running(place)
        try:
            for name, seconds in promises.start_times(platform).items():
                worst[name] = max(worst[name], seconds)
        finally:
            platform.stop()
    assert worst["live_s"] <= 3, worst
    assert worst["ready_s"] <= 15, worst
    return worst


def first_answer(place: Path, _: Counts) -> Figures:
    """The first cited answer within 60 s of the command, on an empty data directory."""
    platform = Running(place)
    try:
        figures = promises.first_cited_answer(platform)
    finally:
        platform.stop()
    assert figures["first_cited_answer_s"] <= 60, figures
    return figures


def memory(place: Path, counts: Counts) -> Figures:
    """Under 300 MB (PSS, all processes), idle, with the handbook in place and before a local model is loaded."""
    with running(place, GENAI_LOCAL__WARM="false") as platform:
        with platform.client() as client:  # a first start has the handbook to read; idle is what comes after
            wait_until(lambda: bool(client.get("/api/v1/jobs").json()["results"]), within_s=30, what="the handbook's job")
            for job in client.get("/api/v1/jobs").raise_for_status().json()["results"]:
                platform.finished_job(client, job["id"])
        platform.stop()
        platform.start()
        time.sleep(counts.settle_s)
        figures = {"pss_mb": promises.proportional_memory(platform)}
    assert figures["pss_mb"] < 300, figures
    return figures


def crash(place: Path, counts: Counts) -> Figures:
    """Kill -9 three times during an ingestion of 200 files: each ends in the collection exactly once."""
    with running(place, GENAI_HANDBOOK="false") as platform:
        return promises.killed_ingestion(platform, files=counts.files, kills=counts.kills)


def crash_postgresql(place: Path, counts: Counts) -> Figures:
    """The same, with the database on PostgreSQL."""
    with postgresql() as server:
        url = database_of_platform(server, "crash")
        with running(place, GENAI_HANDBOOK="false", GENAI_DATABASE_URL=url) as platform:
            return promises.killed_ingestion(platform, files=counts.files, kills=counts.kills)


def searches(place: Path, counts: Counts) -> Figures:
    """32 searches at once during an ingestion of 200 files: none fails, health p95 under 250 ms."""
    with running(place) as platform:
        figures = asyncio.run(promises.searches_during_ingestion(platform, files=counts.files, at_once=32))
    assert figures["health_p95_ms"] < 250, figures
    return figures


def queue(place: Path, counts: Counts) -> Figures:
    """60 generations at once for 2 slots and a queue of 16: what has no room gets 429 with Retry-After."""
    with running(place, GENAI_HANDBOOK="false") as platform:
        return asyncio.run(
            promises.more_generations_than_room(platform, room=18, callers=counts.callers, max_tokens=counts.max_tokens)
        )


def remote(place: Path, counts: Counts) -> Figures:
    """Every capability through RemoteRunnable from another process with a key: invoke, batch, stream, astream_events."""
    return _tests("tests/e2e/test_remote_runnable.py", place, "sqlite" if counts.is_small else "")


def bad_input(place: Path, counts: Counts) -> Figures:
    """Every hostile body on every route, LangServe's and streaming ones included."""
    return _tests("tests/e2e/test_bad_input.py", place, "wrong_input" if counts.is_small else "")


def replayed(place: Path, counts: Counts) -> Figures:
    """Answers of every cloud, replayed with what they say that was used: the ledger's cost is the one worked out by hand."""
    return _tests("tests/e2e/test_replayed_usage.py", place, "by_hand and openai" if counts.is_small else "")


def _tests(file: str, place: Path, chosen: str) -> Figures:
    """Run these tests; how many passed."""
    command = [sys.executable, "-m", "pytest", "-q", file, "-k", chosen, f"--basetemp={place}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout[-2000:]
    return {"passed": float(passed[1])}


def memory_of_requests(place: Path, counts: Counts) -> Figures:
    """After 100,000 requests of all kinds, failed and abandoned ones among them, at most 10 MB more than after 10,000."""
    early = counts.requests // 10
    with gateway.mock_provider() as provider, gateway.full_profile(place, provider) as platform:
        key = gateway.scoped_key(platform)
        asyncio.run(request_mix.make(platform, key, early))
        before = request_mix.resident_mb(platform)
        asyncio.run(request_mix.make(platform, key, counts.requests - early))
        figures = {"requests": counts.requests, "before_mb": before, "grown_mb": request_mix.resident_mb(platform) - before}
    assert figures["grown_mb"] <= 10, figures
    return figures


def faults(place: Path, counts: Counts) -> Figures:
    """2,000 requests for each fault of the first of four deployments, whole and streamed: 99.9 % whole, none late."""
    return asyncio.run(failover.faults(place, count=counts.calls))


def outage(place: Path, counts: Counts) -> Figures:
    """A full outage of the first of four deployments: at most 1.2 calls a request, used again within a probe interval."""
    return asyncio.run(failover.outage(place, count=counts.calls))


def counted(place: Path, counts: Counts) -> Figures:
    """10,000 requests, a fifth of them with faults: ledger, analytics, Prometheus and the provider count the same."""
    return asyncio.run(counting.counted(place, requests=counts.requests // 10))


def overspent(place: Path, counts: Counts) -> Figures:
    """200 requests at once over four processes, before a budget with room for 50: exactly those are answered, to the token."""
    return asyncio.run(overspending.overspent(place, asked=4 * counts.room, room=counts.room, killed=False))


def overspent_killed(place: Path, counts: Counts) -> Figures:
    """The same, with one of the processes killed in the middle: the limit holds, and what it had reserved comes back."""
    return asyncio.run(overspending.overspent(place, asked=4 * counts.room, room=counts.room, killed=True))


def redis_away(place: Path, counts: Counts) -> Figures:
    """Redis frozen, killed and slow for half a minute each, whatever the settings say of it: nobody hangs, p99 grows by less
    than 50 ms, each change is told once, all is as before within 10 s, and no row of the ledger is missing."""
    told: Figures = {}
    for without in ("refuse", "admit"):
        found = _outages(place / without, away.REDIS, counts, GENAI_BUDGETS__WITHOUT_STORE=without)
        told |= {f"{without}_{name}": value for name, value in found.items()}
    return told


def database_away(place: Path, counts: Counts) -> Figures:
    """The same with PostgreSQL stopped and started again, and frozen; everybody is answered."""
    return _outages(place, away.DATABASE, counts)


def _outages(place: Path, chosen: Sequence[away.Outage], counts: Counts, **more: str) -> Figures:
    # of few requests the slowest hundredth is chance: those of a quarter of a second find out for all that come later
    per_s = 20 if counts.is_small else 60
    asked = away.outages(place, chosen, per_s=per_s, there_s=counts.away_s / 2, away_s=counts.away_s, more=more)
    found, told = asyncio.run(asked)
    away.check_lines(found, chosen)
    if not counts.is_small:
        away.check_times(found)
    return told | away.figures(found)


def accounting(place: Path, counts: Counts) -> Figures:
    """Ledger, cost, budgets, limits and metrics together add at most 0.3 ms of CPU to a request, the flush included."""
    with gateway.mock_provider() as provider:
        found = accounting_cost.measured(
            place, provider, kinds=("whole", "streamed"), connections=(1, 16), rounds=counts.rounds, seconds=4
        )
    added = {f"{kind}_{number}": statistics.median(accounting_cost.added_ms(each)) for (kind, number), each in found.items()}
    assert counts.is_small or max(added.values()) <= accounting_cost.PROMISED_MS, added
    return {f"{name}_added_ms": value for name, value in added.items()}


def openapi_data(place: Path, counts: Counts) -> Figures:
    """2,000 of 5,000 cases drawn from the OpenAPI document, with a credential and without: no 5xx, none comes in without."""
    return _fuzzed(place, counts.cases * 2, counts, "data")


def openapi_capabilities(place: Path, counts: Counts) -> Figures:
    """2,000 cases more, for the capabilities in plain REST and in OpenAI's form."""
    return _fuzzed(place, counts.cases * 2, counts, "capabilities")


def openapi_langserve(place: Path, counts: Counts) -> Figures:
    """1,000 cases more, for LangServe's routes."""
    return _fuzzed(place, counts.cases, counts, "langserve")


def _fuzzed(place: Path, cases: int, counts: Counts, group: str) -> Figures:
    with fuzzing.target(place) as platform:
        return fuzzing.fuzz(platform, cases=cases, seed=counts.seed, group=group)


def authenticate(_: Path, counts: Counts) -> Figures:
    """Authentication and authorisation add at most 0.1 ms of CPU to a request, with a warm cache, whatever the credential."""
    figures = {"added_us": max(each.added_us for each in authentication.measured(counts.authenticated))}
    assert figures["added_us"] <= authentication.PROMISED_US, figures
    return figures


def secrets_kept(place: Path, counts: Counts) -> Figures:
    """Secrets in every field that takes one are in no log, trace, error, metric, queue or dump, under every fault."""
    return canaries.planted(place, rounds=1 if counts.is_small else 3)


def secrets_kept_grown(place: Path, counts: Counts) -> Figures:
    """The same on PostgreSQL and Valkey with passwords, and over TLS with a key that has one."""
    return canaries.planted(place, rounds=1 if counts.is_small else 3, grown=True)


def rotation(place: Path, counts: Counts) -> Figures:
    """Encryption keys are rotated three times beside 16 callers who read and write what is sealed: no request fails."""
    return resealing.rotated(place, {}, rotations=counts.rotations, callers=counts.readers)


def rotation_postgresql(place: Path, counts: Counts) -> Figures:
    """The same, with the database on PostgreSQL."""
    with postgresql() as server:
        url = {"GENAI_DATABASE_URL": database_of_platform(server, "resealed")}
        return resealing.rotated(place, url, rotations=counts.rotations, callers=counts.readers)


PARTS: dict[str, Callable[[Path, Counts], Figures]] = {
    part.__name__: part
    for part in (
        start,
        first_answer,
        memory,
        memory_of_requests,
        crash,
        crash_postgresql,
        searches,
        queue,
        remote,
        bad_input,
        faults,
        outage,
        counted,
        replayed,
        overspent,
        overspent_killed,
        redis_away,
        database_away,
        accounting,
        openapi_data,
        openapi_capabilities,
        openapi_langserve,
        authenticate,
        secrets_kept,
        secrets_kept_grown,
        rotation,
        rotation_postgresql,
    )
}


def main() -> int:
    """Run what is not yet proved at this commit; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(prog="make prove", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--list", action="store_true", help="name the parts and leave")
    parser.add_argument("--small", action="store_true", help="at small counts, to see that the parts work; records nothing")
    parser.add_argument("--again", action="store_true", help="run also what is proved already")
    parser.add_argument("--seed", type=int, help="draw the cases of the parts `openapi_…` from this, as one that was told did")
    chosen = parser.parse_args()
    console = Console(highlight=False)
    if chosen.list:
        for name, part in PARTS.items():
            console.print(f"{name:<20}{part.__doc__}")
        return 0
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"there is no part {sorted(unknown)[0]}")
    proved = {} if chosen.again or chosen.small else _proved()
    broken = 0
    for name in chosen.parts or PARTS:
        if name in proved:
            console.print(f"{name}: kept (proved before) {_shown(proved[name])}")
            continue
        console.print(f"{name}: {PARTS[name].__doc__}")
        started = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory(prefix="genai-prove-") as place:
                figures = PARTS[name](Path(place) / "platform", replace(SMALL if chosen.small else Counts(), seed=chosen.seed))
            proved[name] = figures | {"took_s": time.perf_counter() - started}
            console.print(f"{name}: {'works' if chosen.small else 'kept'} {_shown(proved[name])}")
            if not chosen.small:
                RECORD.write_text(json.dumps({"state": _state(), "proved": proved}, indent=2))
        except (AssertionError, RuntimeError, TimeoutError, httpx.HTTPError) as failure:
            broken += 1
            console.print(f"{name}: BROKEN {failure}", markup=False)
    return 1 if broken else 0


def _state() -> str:
    """Which code was proved: the commit, and what differs from it."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    difference = subprocess.run(["git", "diff", "HEAD"], cwd=ROOT, capture_output=True, check=False).stdout
    return f"{head} {hashlib.sha256(difference).hexdigest()}"


def _proved() -> dict[str, Figures]:
    try:
        record = json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return {}
    return dict(record["proved"]) if record.get("state") == _state() else {}


def _shown(figures: Figures) -> str:
    return ", ".join(f"{name} {value:.0f}" if value == int(value) else f"{name} {value:.4g}" for name, value in figures.items())


if __name__ == "__main__":
    sys.exit(main())
