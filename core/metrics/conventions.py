"""OpenTelemetry's semantic conventions for generative AI: `gen_ai.*` metrics of calls of providers, sent by OTLP.

Where to is said by OpenTelemetry's usual variables (`OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`, `…_HEADERS`,
`OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_RESOURCE_ATTRIBUTES`), which its SDK reads itself.
"""

from collections.abc import Sequence
from typing import Any

from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from core import otlp
from core.gen_ai import Names, operation, provider_attributes
from core.ledger.entries import Entry
from core.settings import Settings

#: The boundaries that the conventions ask for.
_SECONDS = [0.01 * 2**power for power in range(14)]
_FIRST_S = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]
_TOKENS = [4.0**power for power in range(14)]


class Conventions:
    """Takes calls down and sends their sums from time to time, in a thread of its own. `close` sends the rest."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError: the endpoint is beyond this machine, and plaintext would go there."""
        names = settings.metrics.conventions
        self._names: Names = names or "current"
        self._embedding = {alias.alias for alias in settings.aliases if alias.kind == "embeddings"}
        self._known: dict[tuple[str, ...], dict[str, Any]] = {}
        reader = PeriodicExportingMetricReader(otlp.exporter(otlp.Signal.METRICS, settings.tls))
        self._provider = MeterProvider([reader], resource=otlp.resource(), shutdown_on_exit=False)
        self._duration = self._histogram("gen_ai.client.operation.duration", "s", _SECONDS)
        self._usage = self._histogram("gen_ai.client.token.usage", "{token}", _TOKENS)
        first = ["gen_ai.client.operation.time_to_first_chunk"] * (names != "previous")
        first += ["gen_ai.server.time_to_first_token"] * (names != "current")
        self._first = [self._histogram(name, "s", _FIRST_S) for name in first]

    def called(self, entry: Entry) -> None:
        """A provider was called. Answers of the response cache are none of its."""
        if entry.cache is not None:
            return
        about = self._about(entry)
        self._duration.record(entry.latency_ms / 1000, about if entry.status == "ok" else about | {"error.type": entry.status})
        if entry.first_token_ms is not None:
            for histogram in self._first:
                histogram.record(entry.first_token_ms / 1000, about)
        tokens = entry.tokens
        for kind, count in (
            ("input", tokens.input + tokens.cached + tokens.cache_write + tokens.cache_write_1h),
            ("output", tokens.output),
        ):
            if count:
                self._usage.record(count, about | {"gen_ai.token.type": kind})

    def close(self) -> None:
        self._provider.shutdown(timeout_millis=2_000)

    def _about(self, entry: Entry) -> dict[str, Any]:
        key = entry.alias, entry.provider, entry.model, entry.capability
        if key not in self._known:
            told = provider_attributes(entry.provider, self._names)
            does = operation(entry.capability, embeds=entry.alias in self._embedding)
            self._known[key] = told | {"gen_ai.operation.name": does, "gen_ai.request.model": entry.model}
        return self._known[key]

    def _histogram(self, name: str, unit: str, boundaries: Sequence[float]) -> Histogram:
        meter = self._provider.get_meter("genai")
        return meter.create_histogram(name, unit=unit, explicit_bucket_boundaries_advisory=boundaries)
