"""What is read when somebody scrapes, rather than counted as it happens: queues, pools, breakers, what is open.

A source that does not answer in time is left out of this scrape, and `genai_metrics_source_up` says so: a database or a Redis
that is away must not take the other figures with it. It is not asked again before it has answered.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from core.metrics.families import FAMILIES, SOURCE_UP, Family

log = structlog.get_logger()

#: Seconds that all sources of a scrape have together. Prometheus gives up after 10.
WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """A figure of now. `labels` are the values of the family's labels, in their order."""

    family: Family
    value: float
    labels: tuple[str, ...] = ()


#: Reads figures. Blocking, in a thread of its own; may raise anything.
Source = Callable[[], Iterable[Reading]]


@dataclass(slots=True)
class _Asked:
    """A source that has been asked. `readings` is None while it has not answered, and where it failed."""

    done: threading.Event = field(default_factory=threading.Event)
    readings: list[Reading] | None = None


class Sources(Collector):
    """The sources of a process. Those that are only added later are in the scrapes from then on."""

    def __init__(self, within_s: float = WITHIN_S) -> None:
        self._within_s = within_s
        self._sources: dict[str, Source] = {}
        self._asked: dict[str, _Asked] = {}
        self._silent: set[str] = set()
        self._lock = threading.Lock()

    def add(self, name: str, source: Source) -> None:
        """Have a source read at each scrape. `name` is a label: of a closed set. One of the same name is replaced."""
        with self._lock:
            self._sources[name] = source

    def remove(self, name: str) -> None:
        """What it reads is about to be closed. No effect where there is none."""
        with self._lock:
            self._sources.pop(name, None)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Asked once, when it joins a registry: nothing is read for it."""
        for family in FAMILIES:
            if family.read:
                yield GaugeMetricFamily(family.name, family.meaning, labels=family.labels)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What could be read in time."""
        shown: dict[str, GaugeMetricFamily] = {}
        for reading in self.read():
            family = reading.family
            if family.name not in shown:
                shown[family.name] = GaugeMetricFamily(family.name, family.meaning, labels=family.labels)
            shown[family.name].add_metric(reading.labels, reading.value)
        yield from shown.values()

    def read(self) -> list[Reading]:
        """The figures of now, and of each source whether it gave any."""
        until = time.monotonic() + self._within_s
        with self._lock:
            asked = {name: self._ask(name, source) for name, source in self._sources.items()}
        found: list[Reading] = []
        for name, one in asked.items():
            one.done.wait(max(0.0, until - time.monotonic()))
            readings = one.readings
            found += readings or ()
            found.append(Reading(SOURCE_UP, float(readings is not None), (name,)))
            self._note(name, silent=readings is None)
        return found

    def _ask(self, name: str, source: Source) -> _Asked:
        """Ask it, unless it still has to answer somebody."""
        if (open_one := self._asked.get(name)) is not None and not open_one.done.is_set():
            return open_one
        asked = self._asked[name] = _Asked()

        def answer() -> None:
            try:
                asked.readings = list(source())
            except Exception as error:  # noqa: BLE001 - the boundary of a thread: one source takes no other with it
                log.debug("metrics.source_failed", source=name, error=type(error).__name__)
            finally:
                asked.done.set()

        # a daemon: one that hangs does not keep the process from ending
        threading.Thread(target=answer, name=f"metrics-{name}", daemon=True).start()
        return asked

    def _note(self, name: str, *, silent: bool) -> None:
        """One line for each change."""
        if silent and name not in self._silent:
            self._silent.add(name)
            log.warning("metrics.source_silent", source=name)
        elif not silent and name in self._silent:
            self._silent.discard(name)
            log.info("metrics.source_back", source=name)
