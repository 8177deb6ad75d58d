"""What is brought in while processes are killed, and what is searched meanwhile."""

import asyncio
from pathlib import Path

from infra.bench import beside_ingestion, heavy_files, killed_workers, promises
from infra.bench.counts import Counts, Figures
from infra.postgresql import database_of_platform, postgresql
from infra.running import running


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


def ingestion_killed(place: Path, counts: Counts) -> Figures:
    """2,000 documents on PostgreSQL with pgvector, 20 random kills of workers, the broker flushed twice, 5 % of upserts lost:
    each is ready once, with all of its chunks and no others, taken up again within 30 s, and what kills is parked."""
    return killed_workers.survived(
        place, files=counts.documents, kills=counts.worker_kills, flushes=counts.flushes, seed=counts.seed
    )


def ingestion_memory(place: Path, counts: Counts) -> Figures:
    """2 GB of mixed files with a model that embeds 500 texts a second: under 1.5 GB (PSS, all processes) all the while."""
    return heavy_files.taken(place, megabytes=counts.megabytes)


def chat_beside_ingestion(place: Path, counts: Counts) -> Figures:
    """Chat (a mock model that answers after 20 ms) beside a bulk ingestion with the bundled embedding model: p95 at most 1.5
    times that without; and the ingestion runs at 90 % of the rate of the embedding model alone."""
    figures = beside_ingestion.measured(place, files=counts.bulk, calls=counts.calls // 4)
    if not counts.is_small:
        beside_ingestion.check(figures)
    return figures
