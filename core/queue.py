"""Sending work to the workers, by actor name.

The database is the truth and the broker only carries: a message lost here is found by the sweeper. Messages are sent after
the transaction that they belong to has been committed.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import dramatiq
import structlog
from dramatiq.brokers.redis import RedisBroker
from redis import ConnectionError, Redis, RedisError  # noqa: A004 - redis names it so
from redis.backoff import NoBackoff
from redis.retry import Retry

from core import traces

log = structlog.get_logger()

NAMESPACE = "genai"
#: Seconds that a caller waits for the broker at most, and that it is left alone after it did not answer.
SEND_S, AWAY_S = 1.0, 1.0
#: The queue that documents to be read wait in.
INGESTION = "ingestion"


def redis_client(url: str) -> "Redis":
    """A synchronous client for `redis://`, `rediss://` or `unix://`."""
    return Redis.from_url(
        url, socket_timeout=15, socket_connect_timeout=3, health_check_interval=30, retry=Retry(NoBackoff(), 1)
    )


def _sending_client(url: str) -> "Redis":
    """A client for callers who wait: a server that does not answer is given up after `SEND_S`, a connection that it has closed
    is opened anew once."""
    again = Retry(NoBackoff(), 1, supported_errors=(ConnectionError,))
    return Redis.from_url(url, socket_timeout=SEND_S, socket_connect_timeout=SEND_S, retry=again)


class Queue:
    """Enqueues by name; neither the actors nor their modules are imported.

    A broker that does not answer is left alone for `AWAY_S`: who sends meanwhile does not wait. The sweeper sends again.
    """

    def __init__(self, redis_url: str) -> None:
        self._client = _sending_client(redis_url)
        self._away, self._away_until = False, 0.0
        self._broker = RedisBroker(client=self._client, namespace=NAMESPACE, middleware=[])  # type: ignore[no-untyped-call]

    async def send(self, actor: str, *args: Any, queue: str = "default", delay_ms: int | None = None) -> bool:
        """Enqueue one call of `actor`. False when the broker cannot be reached: the sweeper sends it again later."""
        return await self.send_all(actor, [args], queue=queue, delay_ms=delay_ms)

    async def send_all(
        self, actor: str, calls: Sequence[tuple[Any, ...]], *, queue: str = "default", delay_ms: int | None = None
    ) -> bool:
        """Enqueue one call for each tuple of arguments, in order. False when the broker did not take all of them."""
        if time.monotonic() < self._away_until:
            return False
        try:
            with traces.span(f"send {queue}", _told(queue, len(calls)), kind=traces.Kind.PRODUCER):
                await asyncio.to_thread(self._enqueue, actor, calls, queue, delay_ms)
        except (RedisError, dramatiq.errors.BrokerError) as error:
            self._away_until = time.monotonic() + AWAY_S
            if not self._away:
                self._away = True
                log.warning("queue.unreachable", actor=actor, error=type(error).__name__)
            return False
        if self._away:
            self._away = False
            log.info("queue.reached")
        return True

    def _enqueue(self, actor: str, calls: Sequence[tuple[Any, ...]], queue: str, delay_ms: int | None) -> None:
        traceparent = traces.carried()
        options = {} if traceparent is None else {traces.CARRIED: traceparent}
        for args in calls:
            message: dramatiq.Message[Any] = dramatiq.Message(
                queue_name=queue, actor_name=actor, args=args, kwargs={}, options=dict(options)
            )
            self._broker.enqueue(message, delay=delay_ms)

    async def waiting(self, queue: str) -> int:
        """Messages that no worker has taken yet, delayed ones apart. Raises redis.RedisError without a broker."""
        return int(await asyncio.to_thread(self._client.llen, f"{NAMESPACE}:{queue}"))

    def ping(self) -> None:
        """Raises redis.RedisError when the broker does not answer. Blocks."""
        self._client.ping()

    def close(self) -> None:
        self._broker.close()
        self._client.close()


def _told(queue: str, messages: int) -> dict[str, str | int]:
    return {
        "messaging.system": "dramatiq",
        "messaging.operation.type": "send",
        "messaging.destination.name": queue,
        "messaging.batch.message_count": messages,
    }
