"""What operators watch: counts and times of this process, in Prometheus' text format. How it is meant: `docs/metrics.md`.

    metrics.called(entry)            # a call of a provider, or an answer of the response cache, as the ledger has it
    metrics.answered(answer)         # a request that was answered

These are all the places where something is counted. They cost nothing where no recorder is connected: `GENAI_METRICS__TOKEN` or
`GENAI_METRICS__PORT` has one connected at the start. What is read rather than counted are `core.metrics.sources`.
"""

from core.metrics.seam import Answer, answered, are_counted, began, called, connect, job_ended, not_kept, reconciled

__all__ = ["Answer", "answered", "are_counted", "began", "called", "connect", "job_ended", "not_kept", "reconciled"]
