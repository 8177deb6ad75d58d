"""The parts of `make prove`, a line each, in the order in which they run."""

from collections.abc import Callable
from pathlib import Path

from infra.bench.counts import Counts, Figures
from infra.bench.proofs import (
    accounts,
    delivery,
    evaluation,
    ingestion,
    providers,
    registry,
    retrieval,
    scaling,
    security,
    serving,
)

Part = Callable[[Path, Counts], Figures]

_TABLE: tuple[Part, ...] = (
    serving.start,
    serving.first_answer,
    serving.memory,
    serving.memory_of_requests,
    ingestion.crash,
    ingestion.crash_postgresql,
    ingestion.searches,
    ingestion.ingestion_killed,
    ingestion.ingestion_memory,
    ingestion.chat_beside_ingestion,
    retrieval.foreign_chunks,
    retrieval.foreign_chunks_servers,
    retrieval.erased_traces,
    retrieval.cited_spans,
    serving.queue,
    serving.remote,
    serving.bad_input,
    providers.faults,
    providers.outage,
    accounts.counted,
    serving.replayed,
    accounts.overspent,
    accounts.overspent_killed,
    providers.redis_away,
    providers.database_away,
    accounts.accounting,
    registry.rolled_back,
    security.openapi_data,
    security.openapi_capabilities,
    security.openapi_langserve,
    security.authenticate,
    security.revoked,
    security.secrets_kept,
    security.secrets_kept_grown,
    security.rotation,
    security.rotation_postgresql,
    evaluation.statistics,
    evaluation.monitors,
    evaluation.eval_run,
    delivery.restored,
    delivery.restored_postgresql,
    delivery.upgraded,
    scaling.rolling,
    scaling.apart,
)

PARTS = {part.__name__: part for part in _TABLE}
