"""Sources: what waits in the database, in the broker, and in the ledger's files."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine, func, select, text
from sqlmodel import col

from core.batches import QUEUE as BATCHES
from core.budgets.rules import Rule
from core.data_requests import QUEUE as DATA_REQUESTS
from core.database import blocking_engine, utc_now
from core.jobs import BATCH, ERASURE, EXPORT, INGESTION, RECONCILIATION
from core.ledger import Ledger
from core.metrics import families
from core.metrics.sources import Reading
from core.queue import INGESTION as DOCUMENTS
from core.queue import NAMESPACE
from core.redis_clients import ANSWER_S, CONNECT_S, LOOKED_AT
from core.settings import Settings
from core.tables import Document, Job, JobState
from core.tables.budgets import Budget
from core.tables.documents import DocumentState

#: Budgets that reservations are counted of.
MOST_BUDGETS = 10_000
#: Milliseconds that a statement may take on PostgreSQL.
_STATEMENT_MS = 900
_KINDS = (INGESTION, BATCH, ERASURE, EXPORT, RECONCILIATION)
_OPEN_JOBS = (JobState.QUEUED.value, JobState.RUNNING.value)
_OPEN_DOCUMENTS = (DocumentState.QUEUED.value, DocumentState.PROCESSING.value)


class Stored:
    """Reads database and Redis for scrapes, over a connection of its own to each. `close` when nobody reads any more."""

    def __init__(self, settings: Settings, redis_url: str) -> None:
        self._engine: Engine = blocking_engine(settings)
        self._redis = Redis.from_url(
            redis_url,
            socket_timeout=ANSWER_S,
            socket_connect_timeout=CONNECT_S,
            retry=Retry(NoBackoff(), 0),
            **LOOKED_AT,
        )

    def close(self) -> None:
        self._engine.dispose()
        self._redis.close()

    def jobs(self) -> Iterator[Reading]:
        """Jobs and documents that wait or are worked on."""
        jobs = select(col(Job.kind), col(Job.state), func.count(), func.min(col(Job.created_at))).where(
            col(Job.state).in_(_OPEN_JOBS)
        )
        documents = select(col(Document.state), func.count()).where(col(Document.state).in_(_OPEN_DOCUMENTS))
        with self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SET LOCAL statement_timeout = {_STATEMENT_MS}"))
            counted = {(row[0], row[1]): row for row in connection.execute(jobs.group_by(col(Job.kind), col(Job.state)))}
            waiting = {row[0]: row[1] for row in connection.execute(documents.group_by(col(Document.state)))}
        for kind in _KINDS:
            for state in _OPEN_JOBS:
                row = counted.get((kind, state))
                yield Reading(families.JOBS, row[2] if row else 0, (kind, state))
                if state == JobState.QUEUED:
                    yield Reading(families.OLDEST_JOB, _age_s(row[3]) if row else 0.0, (kind,))
        for state in _OPEN_DOCUMENTS:
            yield Reading(families.DOCUMENTS, waiting.get(state, 0), (state,))

    def queues(self) -> Iterator[Reading]:
        """Messages in the broker."""
        queues = (DOCUMENTS, BATCHES, DATA_REQUESTS)
        pipeline: Any = self._redis.pipeline(transaction=False)
        for queue in queues:
            pipeline.llen(f"{NAMESPACE}:{queue}")
        for queue, waiting in zip(queues, pipeline.execute(), strict=True):
            yield Reading(families.QUEUE, waiting, (queue,))

    def reservations(self) -> Iterator[Reading]:
        """Open reservations in budgets, those apart that are past their time."""
        with self._engine.connect() as connection:
            found = connection.execute(select(Budget).limit(MOST_BUDGETS)).all()
        now_ms = int(utc_now().timestamp() * 1000)
        pipeline: Any = self._redis.pipeline(transaction=False)
        for row in found:
            pipeline.zcount(f"{Rule.of(row).counter}:held", now_ms, "+inf")  # type: ignore[arg-type]  # a row with its columns
        yield Reading(families.RESERVATIONS, sum(pipeline.execute()) if found else 0)
        yield Reading(families.BUDGETS, len(found))


def waiting(book: Ledger) -> Iterator[Reading]:
    """What this process's ledger has taken in, and the database has not."""
    yield Reading(families.LEDGER_WAITING, book.waiting)


def spooled(directory: Path) -> Iterator[Reading]:
    """What the ledger of any process of this data directory keeps in files."""
    yield Reading(families.LEDGER_SPOOLED, sum(_size(path) for path in directory.glob("*.jsonl")))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # the database has it by now
        return 0


def _age_s(since: datetime) -> float:
    return max(0.0, (utc_now() - since).total_seconds())
