"""Several servers and workers behind a proxy: replaced one by one, and without a shared disk."""

import asyncio
from pathlib import Path

from infra.bench import apart as without_a_disk
from infra.bench import rolling as replaced
from infra.bench.cluster import cluster
from infra.bench.counts import Counts, Figures


def rolling(place: Path, counts: Counts) -> Figures:
    """Four servers behind HAProxy and two workers, on PostgreSQL and Valkey, each replaced under load, and the database
    restarted: no request lost, no stream cut, and the ledger has each of the provider's calls."""
    servers, restarted = (2, 1) if counts.is_small else (4, 4)
    with cluster(place, servers=servers, more=replaced.SETTINGS) as it:
        return asyncio.run(replaced.rolling(it, callers=counts.readers, requests=counts.calls // 20, restarted=restarted))


def apart(place: Path, counts: Counts) -> Figures:
    """Two servers and two workers, no disk shared, asked by turns: sign-in, uploads, job events, sessions, words, limits,
    budgets, breakers and rollbacks of the one are the other's."""
    with cluster(place, servers=2, more=without_a_disk.SETTINGS) as it:
        return without_a_disk.apart(it, room=counts.room)
