"""Counts what happens in this process. On the way of every request: increments alone, 0.3 to 0.6 µs each."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from core.context import CacheUse
from core.ledger.entries import Entry
from core.metrics import families
from core.metrics.families import Family, Kind
from core.metrics.seam import Answer

Child = TypeVar("Child")

#: Combinations of labels that one metric may have. All of them come from closed sets; should one not be closed, what is beyond
#: is counted together.
MOST = 5_000
#: The value of each label beyond it.
REST = "other"
_CLASSES = ("input", "cached", "cache_write", "cache_write_1h", "output")
_DETAILS = ("reasoning", "input_audio", "output_audio")


class Recorder:
    """The counts of a process, in `registry`. Thread-safe. `also` is told of calls as well."""

    def __init__(self, also: Callable[[Entry], None] | None = None) -> None:
        self._also = also
        disable_created_metrics()  # type: ignore[no-untyped-call]  # another series for each of them, of when it began
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._in_progress: Gauge = self._made(families.IN_PROGRESS)
        self._requests = _Children(self._of(families.REQUESTS))
        self._errors = _Children(self._of(families.ERRORS))
        self._calls = _Children(self._call)
        self._attempts = _Children(self._of(families.ATTEMPTS))
        self._cache = _Children(self._of(families.CACHE))
        self._duration = _Children(self._of(families.DURATION))
        self._first_token = _Children(self._of(families.FIRST_TOKEN))
        self._overhead = _Children(self._of(families.OVERHEAD))
        self._provider_duration, self._provider_first_token = map(
            self._made, (families.PROVIDER_DURATION, families.PROVIDER_FIRST_TOKEN)
        )
        self._tokens = self._made(families.TOKENS)
        self._details = _Children(self._of(families.TOKEN_DETAILS))
        self._unpriced, self._estimated = map(self._made, (families.UNPRICED, families.ESTIMATED))
        self._cost = Dollars(families.COST)
        self.registry.register(self._cost)
        self._job_wait = _Children(self._of(families.JOB_WAIT))
        self._job_duration = _Children(self._of(families.JOB_DURATION))
        self._reconciled = _Children(self._of(families.RECONCILED))

    def began(self) -> None:
        """A request is being answered."""
        self._in_progress.inc()

    def answered(self, answer: Answer) -> None:
        """A request has been answered."""
        self._in_progress.dec()
        at = answer.capability, answer.door
        self._requests[(*at, str(answer.status))].inc()
        self._duration[at].observe(answer.seconds)
        if answer.first_s is not None:
            self._first_token[at].observe(answer.first_s)
        if answer.overhead_s is not None:
            self._overhead[at].observe(answer.overhead_s)
        if answer.error is not None:
            self._errors[(*at, answer.error, str(answer.error_status or answer.status))].inc()

    def called(self, entry: Entry) -> None:
        """A provider was called, or the response cache answered in its place."""
        if self._also is not None:
            self._also(entry)
        if entry.cache is not None:
            self._cache[entry.alias, entry.cache].inc()
            return
        deployment = entry.alias, entry.provider, entry.model
        call = self._calls[deployment]
        self._attempts[(*deployment, entry.status)].inc()
        call.duration.observe(entry.latency_ms / 1000)
        if entry.first_token_ms is not None:
            call.first_token.observe(entry.first_token_ms / 1000)
        for name, counter in call.tokens:
            if count := getattr(entry.tokens, name):
                counter.inc(count)
        for name in _DETAILS:
            if count := getattr(entry.tokens, name):
                self._details[(*deployment, name)].inc(count)
        if entry.estimated:
            call.estimated.inc()
        if entry.cost_usd is None:
            call.unpriced.inc()
        elif entry.cost_usd:
            self._cost.add((*deployment, entry.capability), entry.cost_usd)

    def not_kept(self, alias: str, use: CacheUse) -> None:
        """The response cache had no answer, or was not asked."""
        self._cache[alias, use].inc()

    def reconciled(self, store: str, found: str, chunks: int) -> None:
        """A collection's store was put right."""
        self._reconciled[store, found].inc(chunks)

    def job_ended(self, kind: str, outcome: str, *, waited_s: float, ran_s: float) -> None:
        """A job has ended."""
        self._job_wait[kind,].observe(waited_s)
        self._job_duration[kind, outcome].observe(ran_s)

    def _made(self, family: Family) -> Any:
        if family.kind is Kind.HISTOGRAM:
            return Histogram(family.name, family.meaning, family.labels, registry=self.registry, buckets=family.buckets)
        kind = Counter if family.kind is Kind.COUNTER else Gauge
        return kind(family.name, family.meaning, family.labels, registry=self.registry)

    def _of(self, family: Family) -> Callable[[tuple[str, ...]], Any]:
        made = self._made(family)
        return lambda labels: made.labels(*labels)

    def _call(self, labels: tuple[str, ...]) -> "_Call":
        _, provider, model = labels
        return _Call(
            duration=self._provider_duration.labels(provider, model),
            first_token=self._provider_first_token.labels(provider, model),
            tokens=tuple((name, self._tokens.labels(*labels, name)) for name in _CLASSES),
            unpriced=self._unpriced.labels(provider, model),
            estimated=self._estimated.labels(provider, model),
        )


@dataclass(frozen=True, slots=True)
class _Call:
    """What is counted of the calls of a deployment."""

    duration: Histogram
    first_token: Histogram
    tokens: tuple[tuple[str, Counter], ...]
    unpriced: Counter
    estimated: Counter


class _Children(dict[tuple[str, ...], Child], Generic[Child]):
    """What counts for each combination of labels, made at its first use: looking it up here costs a quarter of `labels()`."""

    def __init__(self, make: Callable[[tuple[str, ...]], Child]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, labels: tuple[str, ...]) -> Child:
        if len(self) >= MOST:
            labels = (REST,) * len(labels)
            if (rest := self.get(labels)) is not None:
                return rest
        # two threads may both get here: they are given the same child
        child = self[labels] = self._make(labels)
        return child


class Dollars(Collector):
    """A counter of dollars, exact until it is shown: a sum of floats would drift away from the ledger's."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._lock = threading.Lock()
        self._sums: dict[tuple[str, ...], Decimal] = {}

    def add(self, labels: tuple[str, ...], usd: Decimal) -> None:
        """Count `usd`, 0 or more."""
        with self._lock:
            if labels not in self._sums and len(self._sums) >= MOST:
                labels = (REST,) * len(labels)
            self._sums[labels] = self._sums.get(labels, Decimal(0)) + usd

    def collect(self) -> Iterator[CounterMetricFamily]:
        """What is shown."""
        shown = CounterMetricFamily(self._family.name, self._family.meaning, labels=self._family.labels)
        with self._lock:
            sums = dict(self._sums)
        for labels, usd in sums.items():
            shown.add_metric(labels, float(usd))
        yield shown
