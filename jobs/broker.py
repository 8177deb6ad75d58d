"""The worker's side of the broker: Dramatiq on Redis or Valkey, with redelivery in seconds."""

from collections.abc import Callable
from typing import Any

import dramatiq
from dramatiq import Consumer
from dramatiq.brokers.redis import MAINTENANCE_SCALE, RedisBroker
from dramatiq.middleware import CurrentMessage

from core import traces
from core.queue import NAMESPACE, redis_client
from jobs import JOBS
from jobs.base import JobSpec
from jobs.broker_reach import BrokerReach, ToldConsumer, hush

#: Milliseconds without a sign of life after which a worker's messages go to others. With the defaults, of 60 s and one
#: maintenance in a thousand commands, that took up to 12 minutes (Dramatiq 2.2).
HEARTBEAT_TIMEOUT_MS = 10_000


#: Runs a job with its arguments; the last is the `traceparent` that its message carried, if any.
Run = Callable[[JobSpec, tuple[object, ...], str | None], None]


class _WorkerBroker(RedisBroker):
    """Tells whether it is there."""

    def __init__(self, reach: BrokerReach, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._reach = reach

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        return ToldConsumer(super().consume(queue_name, prefetch, timeout), queue_name, self._reach)


def worker_broker(redis_url: str, run: Run, reach: BrokerReach | None = None) -> RedisBroker:
    """A broker with every job of the table declared; `run` is called in a worker's thread for each message.

    Its one middleware tells which message is worked on: retries, time limits and results are the database's business.
    """
    broker = _WorkerBroker(
        reach or BrokerReach(),
        client=redis_client(redis_url),
        namespace=NAMESPACE,
        middleware=[CurrentMessage()],
        maintenance_chance=MAINTENANCE_SCALE,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
    )
    for name in JOBS:
        _declare(broker, name, JOBS.load(name), run)
    hush(broker.get_declared_queues())
    return broker


def _declare(broker: RedisBroker, name: str, spec: JobSpec, run: Run) -> None:
    def actor(*args: object) -> None:
        message = CurrentMessage.get_current_message()
        run(spec, args, None if message is None else message.options.get(traces.CARRIED))

    dramatiq.Actor(actor, broker=broker, actor_name=name, queue_name=spec.queue, priority=0, options={})
