"""Whether the worker's broker is there: told once when it goes and once when it is back, for all queues of a process.

Dramatiq says of each queue, every few seconds, that it cannot be read.
"""

import logging
import threading
from collections.abc import Iterable
from typing import Any

import redis
import structlog
from dramatiq import Consumer, MessageProxy
from dramatiq.common import dq_name
from dramatiq.errors import ConnectionClosed

from core.transport.refusals import tls_refusal

log = structlog.get_logger()

_SAID_BY_DRAMATIQ = "Consumer encountered a connection error"


class BrokerReach:
    """One for a process."""

    def __init__(self) -> None:
        self._away: set[str] = set()
        self._lock = threading.Lock()

    def gone(self, queue: str, error: Exception) -> None:
        with self._lock:
            first = not self._away
            self._away.add(queue)
        if first:
            refusal = tls_refusal(error)
            log.warning("worker.broker_away", error=type(error).__name__, **({"tls": refusal} if refusal else {}))

    def there(self, queue: str) -> None:
        """The queue was read. The broker is back once all that could not be read are."""
        if queue not in self._away:
            return
        with self._lock:
            self._away.discard(queue)
            last = not self._away
        if last:
            log.info("worker.broker_back")


class ToldConsumer(Consumer):
    """A consumer of a queue that tells how it goes. A broker that does not answer in time is as good as gone."""

    def __init__(self, consumer: Consumer, queue: str, reach: BrokerReach) -> None:
        self._consumer, self._queue, self._reach = consumer, queue, reach

    def __next__(self) -> MessageProxy | None:
        try:
            found: MessageProxy | None = next(self._consumer)
        except (ConnectionClosed, redis.TimeoutError) as error:
            self._reach.gone(self._queue, error)
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
        self._reach.there(self._queue)
        return found

    def __iter__(self) -> "ToldConsumer":
        return self

    def ack(self, message: MessageProxy) -> None:
        self._consumer.ack(message)

    def nack(self, message: MessageProxy) -> None:
        self._consumer.nack(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        self._consumer.requeue(messages)

    def close(self) -> None:
        self._consumer.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_SAID_BY_DRAMATIQ)


def hush(queues: Iterable[str]) -> None:
    """Have Dramatiq say nothing of what is told here."""
    for queue in queues:
        for name in (queue, dq_name(queue)):
            logging.getLogger(f"dramatiq.worker.ConsumerThread({name})").addFilter(_is_news)
