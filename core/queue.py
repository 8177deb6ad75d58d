"""Sending work to the workers, by actor name.

The database is the truth and the broker only carries: a message lost here is found by the sweeper. Messages are sent after
the transaction that they belong to has been committed.
"""

import asyncio
from typing import Any

import dramatiq
import structlog
from dramatiq.brokers.redis import RedisBroker
from redis import Redis, RedisError

log = structlog.get_logger()

NAMESPACE = "genai"


def redis_client(url: str) -> "Redis":
    """A synchronous client for `redis://`, `rediss://` or `unix://`."""
    return Redis.from_url(url, socket_timeout=15, socket_connect_timeout=3, health_check_interval=30)


class Queue:
    """Enqueues by name; neither the actors nor their modules are imported."""

    def __init__(self, redis_url: str) -> None:
        self._client = redis_client(redis_url)
        self._broker = RedisBroker(client=self._client, namespace=NAMESPACE, middleware=[])

    async def send(self, actor: str, *args: Any, queue: str = "default", delay_ms: int | None = None) -> bool:
        """Enqueue one call of `actor`. False when the broker cannot be reached: the sweeper sends it again later."""
        message: dramatiq.Message[Any] = dramatiq.Message(queue_name=queue, actor_name=actor, args=args, kwargs={}, options={})
        try:
            await asyncio.to_thread(self._broker.enqueue, message, delay=delay_ms)
        except (RedisError, dramatiq.errors.BrokerError) as error:
            log.warning("queue.unreachable", actor=actor, error=type(error).__name__)
            return False
        return True

    async def ping(self) -> None:
        """Raises redis.RedisError when the broker does not answer."""
        await asyncio.to_thread(self._client.ping)

    def close(self) -> None:
        self._broker.close()
        self._client.close()
