"""Redis or the database away, behind servers that answer: nobody waits, nothing is lost, all is soon as before."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from infra.bench import counting, gateway
from infra.bench.outages import ADDED_MS, RECOVERED_S, Answer, Log, Steady, codes, p99_ms
from infra.bench.stores import PostgreSQL, Valkey
from infra.postgresql import database_of_platform, postgresql
from infra.running import Running, wait_until
from infra.several import several

Figures = dict[str, float]
#: Whoever is under a budget, and whoever is under a rate limit alone.
BUDGET, RATE = "under a budget", "under a rate limit"


@dataclass(frozen=True, slots=True)
class Platform:
    """Servers on one Valkey and one PostgreSQL, before the mock provider, and the keys of its callers."""

    servers: Sequence[Running]
    provider: str
    valkey: Valkey
    postgresql: PostgreSQL
    callers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Outage:
    """How something goes away, and how it comes back."""

    name: str
    begin: Callable[[Platform], None]
    end: Callable[[Platform], None]
    #: The events that tell of it in the log, gone and back.
    gone: str
    back: str


REDIS = (
    Outage("frozen", lambda it: it.valkey.freeze(), lambda it: it.valkey.resume(), "redis.away", "redis.back"),
    Outage("killed", lambda it: it.valkey.kill(), lambda it: it.valkey.start(), "redis.away", "redis.back"),
    Outage("slow", lambda it: it.valkey.slow(), lambda it: it.valkey.fast(), "redis.away", "redis.back"),
)
DATABASE = (
    Outage(
        "stopped",
        lambda it: it.postgresql.stop(),
        lambda it: it.postgresql.start(),
        "changes.database_away",
        "changes.database_back",
    ),
    Outage(
        "frozen",
        lambda it: it.postgresql.freeze(),
        lambda it: it.postgresql.resume(),
        "changes.database_away",
        "changes.database_back",
    ),
)


@contextmanager
def platform(place: Path, *, servers: int, **more: str) -> Iterator[Platform]:
    """Ready servers in the profile `full`: scoped keys, an active budget, a rate limit, metrics, the ledger on PostgreSQL."""
    place.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        valkey = stack.enter_context(Valkey(place / "valkey").running())
        provider = stack.enter_context(gateway.mock_provider())
        database = stack.enter_context(postgresql(waits_for_disk=True))
        taken_away = PostgreSQL(database)
        stack.callback(taken_away.resume)
        started = stack.enter_context(
            several(
                place,
                servers,
                configuration=gateway.aliases(provider),
                GENAI_DATABASE_URL=database_of_platform(database, "genai"),
                GENAI_REDIS_URL=valkey.url,
                GENAI_METRICS__TOKEN=secrets.token_urlsafe(32),
                **more,
            )
        )
        with started[0].client() as client:
            keys = {}
            for name in (BUDGET, RATE):
                keys[name] = client.post("/api/v1/keys", json={"name": name, "role": "user"}).raise_for_status().json()
            budget = {"scope": {"key": keys[BUDGET]["id"]}, "limit_usd": 1_000_000, "window": "month"}
            client.post("/api/v1/budgets", json=budget).raise_for_status()
            rate = {"scope": {"key": keys[RATE]["id"]}, "requests": 1_000_000, "tokens": 1_000_000_000, "window": "1m"}
            client.post("/api/v1/rate-limits", json=rate).raise_for_status()
        time.sleep(1.5)  # every process has them by then
        yield Platform(started, provider, valkey, taken_away, {name: made["key"] for name, made in keys.items()})


@dataclass(slots=True)
class Seen:
    """What was seen of one outage. Times in seconds."""

    there: list[Answer]
    away: list[Answer]
    after: list[Answer]
    recovered_s: float
    #: How often each event was told, by the server that told it oftenest.
    told: Counter[str]

    @property
    def added_ms(self) -> float:
        return p99_ms(self.away) - p99_ms(self.there)


async def seen(it: Platform, outage: Outage, steady: Steady, *, there_s: float, away_s: float) -> Seen:
    """Have it happen once."""
    there = await steady.during(there_s)
    logs = [Log(server) for server in it.servers]
    await asyncio.to_thread(outage.begin, it)
    away = await steady.during(away_s)
    await asyncio.to_thread(outage.end, it)
    back = time.monotonic()

    def noticed() -> bool:
        return all(log.events()[outage.back] >= 1 for log in logs)

    await asyncio.to_thread(wait_until, noticed, within_s=3 * RECOVERED_S, what=f"{outage.back} in every log")
    noticed_s = time.monotonic() - back
    await asyncio.sleep(2)
    last = max((answer.began for answer in steady.between(back, time.monotonic()) if answer.status != 200), default=back)
    after = await steady.during(there_s)
    told: Counter[str] = Counter()
    for log in logs:
        told |= log.events()
    return Seen(there, away, after, max(noticed_s, last - back), told)


async def outages(
    place: Path,
    chosen: Sequence[Outage],
    *,
    servers: int = 2,
    per_s: float = 20,
    there_s: float = 10,
    away_s: float = 30,
    more: Mapping[str, str] = MappingProxyType({}),
) -> tuple[dict[str, Seen], Figures]:
    """Each of the outages in turn, before the same servers; what was seen, and the counts at the end: answers, calls of the
    provider and rows of the ledger."""
    with platform(place, servers=servers, **more) as it:
        steady = Steady(it.servers, it.callers, per_s)
        found: dict[str, Seen] = {}
        async with steady.running():
            await asyncio.sleep(min(2.0, there_s))  # connections are open, what is imported late is there
            for outage in chosen:
                found[outage.name] = await seen(it, outage, steady, there_s=there_s, away_s=away_s)
        calls = await asyncio.to_thread(gateway.served, it.provider)
        ledger = await asyncio.to_thread(counting.settled, it.servers[0], calls["calls"])
        answered = codes(steady.answers)
    counts = {"requests": float(answered.total()), "answered": float(answered["200"])}
    counts |= {"calls": float(calls["calls"]), "rows": float(ledger["attempts"])}
    assert counts["answered"] == counts["calls"] == counts["rows"], (counts, answered)
    assert not answered["nothing"], answered
    assert not answered["broken"], answered
    return found, counts


def check_lines(found: dict[str, Seen], chosen: Sequence[Outage]) -> None:
    """Each change is told once by each server, and nothing is told again and again.

    Raises:
        AssertionError
    """
    for outage in chosen:
        told = found[outage.name].told
        assert told[outage.gone] == told[outage.back] == 1, (outage.name, told)
        assert max(told.values()) == 1, (outage.name, told)


def check_times(found: dict[str, Seen]) -> None:
    """What an outage adds to the slowest of a hundred, and until all is as before.

    Raises:
        AssertionError
    """
    for name, one in found.items():
        assert one.added_ms < ADDED_MS, (name, p99_ms(one.there), p99_ms(one.away), codes(one.away))
        assert one.recovered_s < RECOVERED_S, (name, one.recovered_s)


def figures(found: dict[str, Seen]) -> Figures:
    """For people to read."""
    told: Figures = {}
    for name, one in found.items():
        told[f"{name}_p99_there_ms"], told[f"{name}_p99_away_ms"] = p99_ms(one.there), p99_ms(one.away)
        told[f"{name}_recovered_s"] = one.recovered_s
        told[f"{name}_refused"] = sum(answer.status != 200 for answer in one.away)
    return told
