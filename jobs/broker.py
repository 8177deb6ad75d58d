"""The worker's side of the broker: Dramatiq on Redis or Valkey, with redelivery in seconds."""

from collections.abc import Callable

import dramatiq
from dramatiq.brokers.redis import MAINTENANCE_SCALE, RedisBroker

from core.queue import NAMESPACE, redis_client
from jobs import JOBS
from jobs.base import JobSpec

#: Milliseconds without a sign of life after which a worker's messages go to others. With the defaults, of 60 s and one
#: maintenance in a thousand commands, that took up to 12 minutes (Dramatiq 2.2).
HEARTBEAT_TIMEOUT_MS = 10_000


def worker_broker(redis_url: str, run: Callable[[JobSpec, tuple[object, ...]], None]) -> RedisBroker:
    """A broker with every job of the table declared; `run` is called in a worker's thread for each message.

    It has no middleware: retries, time limits and results are the database's business.
    """
    broker = RedisBroker(  # type: ignore[no-untyped-call]
        client=redis_client(redis_url),
        namespace=NAMESPACE,
        middleware=[],
        maintenance_chance=MAINTENANCE_SCALE,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
    )
    for name in JOBS:
        _declare(broker, name, JOBS.load(name), run)
    return broker


def _declare(broker: RedisBroker, name: str, spec: JobSpec, run: Callable[[JobSpec, tuple[object, ...]], None]) -> None:
    def actor(*args: object) -> None:
        run(spec, args)

    dramatiq.Actor(actor, broker=broker, actor_name=name, queue_name=spec.queue, priority=0, options={})
