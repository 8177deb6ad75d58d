"""The metrics of a process, from its start to its end: for the server and for workers alike."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from core.ledger import Ledger
from core.metrics import seam
from core.metrics.exposition import Exposition
from core.metrics.listener import Listener
from core.metrics.pooled import database_pools, redis_pool
from core.metrics.recorder import Recorder
from core.metrics.sources import Sources
from core.metrics.stored import Stored, spooled, waiting
from core.redis_clients import RedisClients
from core.settings import Settings
from core.transport.plaintext import check_metrics_listening

if TYPE_CHECKING:
    from core.metrics.conventions import Conventions


@contextmanager
def measured(settings: Settings, redis_url: str, clients: RedisClients, book: Ledger) -> Iterator[Exposition]:
    """Count for the block, and listen where the settings say so. Blocking at its begin and end.

    Raises:
        SettingsError: the listener's address cannot be had.
    """
    check_metrics_listening(settings)
    conventions = _conventions(settings)
    sources, stored = Sources(), Stored(settings, redis_url)
    exposition = Exposition(settings.metrics, Recorder(None if conventions is None else conventions.called), sources)
    sources.add("jobs", lambda: list(stored.jobs()))
    sources.add("queues", lambda: list(stored.queues()))
    sources.add("reservations", lambda: list(stored.reservations()))
    sources.add("ledger", partial(waiting, book))
    sources.add("spool", partial(spooled, settings.path("ledger")))
    sources.add("database_pools", database_pools)
    sources.add("redis_pool", partial(redis_pool, clients))
    with ExitStack() as stack:
        stack.callback(stored.close)
        if conventions is not None:
            stack.callback(conventions.close)
        seam.connect(exposition.recorder)
        stack.callback(seam.connect, None)
        if settings.metrics.port is not None:
            stack.callback(Listener(settings.metrics, exposition).close)
        yield exposition


def _conventions(settings: Settings) -> "Conventions | None":
    if settings.metrics.conventions is None:
        return None
    from core.metrics.conventions import Conventions  # OpenTelemetry's SDK

    return Conventions(settings)
