"""Every metric of the platform: name, labels, unit and meaning. The table of `docs/metrics.md`.

Labels come from closed sets: aliases, providers and models as they are configured, capabilities, doors, codes of the error
table. No tenant, user, key, path or text is one.
"""

from dataclasses import dataclass
from enum import StrEnum

#: Seconds of an answer: from a kept one to the longest that a request may take.
ANSWER_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
#: Seconds of the platform's own work.
OWN_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
JOB_S = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)


class Kind(StrEnum):
    """Of a metric, as Prometheus has them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric. `name` is without what Prometheus adds (`_total`, `_bucket`, …). `read` at each scrape, rather than counted."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    unit: str
    meaning: str
    buckets: tuple[float, ...] = ()
    read: bool = False

    @property
    def shown(self) -> str:
        """The name that an expression uses; of a histogram, the one that its parts have in common."""
        return f"{self.name}_total" if self.kind is Kind.COUNTER else self.name


_SERVED = ("capability", "door")
_DEPLOYMENT = ("provider", "model")
_CALLED = ("alias", *_DEPLOYMENT)

REQUESTS = Family(
    "genai_requests", Kind.COUNTER, (*_SERVED, "status"), "requests", "requests that were answered, by HTTP status"
)
IN_PROGRESS = Family("genai_requests_in_progress", Kind.GAUGE, (), "requests", "requests that are being answered")
ERRORS = Family(
    "genai_errors",
    Kind.COUNTER,
    (*_SERVED, "code", "status"),
    "errors",
    "errors that callers were told, by code; `status` is the code's, also where a stream had begun with 200",
)
DURATION = Family(
    "genai_request_duration_seconds", Kind.HISTOGRAM, _SERVED, "seconds", "time to the last byte of an answer", ANSWER_S
)
FIRST_TOKEN = Family(
    "genai_request_first_token_seconds",
    Kind.HISTOGRAM,
    _SERVED,
    "seconds",
    "time to the first piece of a streamed answer",
    ANSWER_S,
)
OVERHEAD = Family(
    "genai_request_overhead_seconds",
    Kind.HISTOGRAM,
    _SERVED,
    "seconds",
    "time of requests that called a provider, without the time that providers took",
    OWN_S,
)
ATTEMPTS = Family(
    "genai_provider_attempts",
    Kind.COUNTER,
    (*_CALLED, "outcome"),
    "calls",
    "calls of providers, retries and failovers among them; `outcome` is the ledger's `status`",
)
PROVIDER_DURATION = Family(
    "genai_provider_duration_seconds", Kind.HISTOGRAM, _DEPLOYMENT, "seconds", "time of a provider's whole answer", ANSWER_S
)
PROVIDER_FIRST_TOKEN = Family(
    "genai_provider_first_token_seconds", Kind.HISTOGRAM, _DEPLOYMENT, "seconds", "time to a provider's first token", ANSWER_S
)
TOKENS = Family(
    "genai_tokens",
    Kind.COUNTER,
    (*_CALLED, "class"),
    "tokens",
    "tokens, each in one class: `input`, `cached`, `cache_write`, `cache_write_1h`, `output`",
)
TOKEN_DETAILS = Family(
    "genai_token_details",
    Kind.COUNTER,
    (*_CALLED, "detail"),
    "tokens",
    "of these: `reasoning` and `output_audio` of the output, `input_audio` of the input",
)
COST = Family("genai_cost_usd", Kind.COUNTER, (*_CALLED, "capability"), "US dollars", "what calls of providers cost")
UNPRICED = Family(
    "genai_provider_unpriced_attempts", Kind.COUNTER, _DEPLOYMENT, "calls", "calls that no price is known for: not in the cost"
)
ESTIMATED = Family(
    "genai_provider_estimated_attempts",
    Kind.COUNTER,
    _DEPLOYMENT,
    "calls",
    "calls whose tokens were counted here, since the provider reported none",
)
CACHE = Family(
    "genai_cache_requests",
    Kind.COUNTER,
    ("alias", "result"),
    "answers",
    "what the response cache did for an answer: `hit`, `semantic`, `miss`, `bypass`",
)
JOB_WAIT = Family(
    "genai_job_wait_seconds", Kind.HISTOGRAM, ("kind",), "seconds", "time that a job waited before work on it began", JOB_S
)
JOB_DURATION = Family(
    "genai_job_duration_seconds",
    Kind.HISTOGRAM,
    ("kind", "outcome"),
    "seconds",
    "time from a job's first work to its end",
    JOB_S,
)

RECONCILED = Family(
    "genai_reconciled_chunks",
    Kind.COUNTER,
    ("store", "found"),
    "chunks",
    "chunks that a reconciliation found missing in a store (`vectors`, `words`) and restored, or found to be of no document "
    "(`orphans`) and deleted",
)

HEALTHY = Family(
    "genai_provider_healthy",
    Kind.GAUGE,
    _DEPLOYMENT,
    "0 or 1",
    "whether a deployment is called as a matter of course: its breaker is closed, and it did not ask to be left in peace",
    read=True,
)
BREAKER = Family(
    "genai_provider_breaker_state",
    Kind.GAUGE,
    (*_DEPLOYMENT, "state"),
    "0 or 1",
    "1 for the state that a deployment's breaker is in: `closed`, `open`, `half_open`",
    read=True,
)
IN_FLIGHT = Family(
    "genai_provider_in_flight", Kind.GAUGE, _DEPLOYMENT, "calls", "calls of a deployment that are under way", read=True
)
JOBS = Family(
    "genai_jobs", Kind.GAUGE, ("kind", "state"), "jobs", "jobs that wait (`queued`) or are worked on (`running`)", read=True
)
OLDEST_JOB = Family(
    "genai_job_oldest_queued_seconds",
    Kind.GAUGE,
    ("kind",),
    "seconds",
    "age of the job that has waited longest, 0 without one",
    read=True,
)
DOCUMENTS = Family(
    "genai_documents",
    Kind.GAUGE,
    ("state",),
    "documents",
    "documents that wait (`queued`) or are brought in (`processing`)",
    read=True,
)
QUEUE = Family(
    "genai_queue_messages", Kind.GAUGE, ("queue",), "messages", "messages in the broker that no worker has taken", read=True
)
RESERVATIONS = Family(
    "genai_budget_reservations",
    Kind.GAUGE,
    (),
    "reservations",
    "open reservations in budgets; a request that falls under several counts in each",
    read=True,
)
BUDGETS = Family("genai_budgets", Kind.GAUGE, (), "budgets", "budgets of all tenants", read=True)
DATABASE_POOL = Family(
    "genai_database_connections",
    Kind.GAUGE,
    ("pool", "state"),
    "connections",
    "connections to the database, `in_use` or `idle`; `pool`: `sessions` (requests, jobs) or `threads` (ledger, audit log)",
    read=True,
)
DATABASE_POOL_SIZE = Family(
    "genai_database_connections_limit",
    Kind.GAUGE,
    ("pool",),
    "connections",
    "connections that may be open at once",
    read=True,
)
HTTP_POOL = Family(
    "genai_provider_connections",
    Kind.GAUGE,
    ("provider", "state"),
    "connections",
    "connections of the platform's own to a provider, `in_use` or `idle`",
    read=True,
)
HTTP_POOL_SIZE = Family(
    "genai_provider_connections_limit",
    Kind.GAUGE,
    ("provider",),
    "connections",
    "connections that may be open at once",
    read=True,
)
REDIS_POOL = Family(
    "genai_redis_connections",
    Kind.GAUGE,
    ("state",),
    "connections",
    "connections to Redis or Valkey, `in_use` or `idle`",
    read=True,
)
REDIS_POOL_SIZE = Family(
    "genai_redis_connections_limit", Kind.GAUGE, (), "connections", "connections that may be open at once", read=True
)
LEDGER_WAITING = Family(
    "genai_ledger_waiting_entries",
    Kind.GAUGE,
    (),
    "entries",
    "entries of the ledger that the database does not have yet",
    read=True,
)
LEDGER_SPOOLED = Family(
    "genai_ledger_spooled_bytes",
    Kind.GAUGE,
    (),
    "bytes",
    "entries of the ledger that files keep until the database is back",
    read=True,
)
SOURCE_UP = Family(
    "genai_metrics_source_up",
    Kind.GAUGE,
    ("source",),
    "0 or 1",
    "whether what is read for a scrape could be read in time",
    read=True,
)

FAMILIES = (
    REQUESTS,
    IN_PROGRESS,
    ERRORS,
    DURATION,
    FIRST_TOKEN,
    OVERHEAD,
    ATTEMPTS,
    PROVIDER_DURATION,
    PROVIDER_FIRST_TOKEN,
    TOKENS,
    TOKEN_DETAILS,
    COST,
    UNPRICED,
    ESTIMATED,
    CACHE,
    JOB_WAIT,
    JOB_DURATION,
    RECONCILED,
    HEALTHY,
    BREAKER,
    IN_FLIGHT,
    JOBS,
    OLDEST_JOB,
    DOCUMENTS,
    QUEUE,
    RESERVATIONS,
    BUDGETS,
    DATABASE_POOL,
    DATABASE_POOL_SIZE,
    HTTP_POOL,
    HTTP_POOL_SIZE,
    REDIS_POOL,
    REDIS_POOL_SIZE,
    LEDGER_WAITING,
    LEDGER_SPOOLED,
    SOURCE_UP,
)
