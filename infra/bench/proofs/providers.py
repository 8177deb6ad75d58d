"""Providers, Redis and the database that fail, and who is answered all the same."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from infra.bench import away
from infra.bench import faults as failover
from infra.bench.counts import Counts, Figures


def faults(place: Path, counts: Counts) -> Figures:
    """2,000 requests for each fault of the first of four deployments, whole and streamed: 99.9 % whole, none late."""
    return asyncio.run(failover.faults(place, count=counts.calls))


def outage(place: Path, counts: Counts) -> Figures:
    """A full outage of the first of four deployments: at most 1.2 calls a request, used again within a probe interval."""
    return asyncio.run(failover.outage(place, count=counts.calls))


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
