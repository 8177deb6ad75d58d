"""Redis or Valkey as a small memory that processes share: one asynchronous client a running event loop, made at first use.

What stands on it (cache, breakers, limits) has to go on without it, so it gives up early: `asked` waits for an answer no
longer than a request should, and asks nothing of a server that is known to be away (`core.redis_reach`).
"""

from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from core import traces
from core.per_loop import PerLoop
from core.redis_reach import Reach

#: Seconds to connect and for an answer. A loopback answer takes 0.2 ms; one that takes this long is as good as none.
CONNECT_S = 0.25
ANSWER_S = 0.5
#: Of an event loop. What finds them all busy waits its turn, as long as for an answer.
CONNECTIONS = 32
#: Seconds that a request waits for an answer.
WAIT_S = 0.25
#: Options of every pool whose calls are not tried twice. With notices of the server's maintenance on, redis-py hands out idle
#: connections without a look at them: one that the server has closed meanwhile would look like an end of the server.
LOOKED_AT: Final[dict[str, Any]] = {"maint_notifications_config": MaintNotificationsConfig(enabled=False)}


class RedisClients:
    """Clients of one server, for a process with several event loops.

    Raises:
        redis.RedisError, TimeoutError, OSError: by a call, where the server is away.
    """

    def __init__(self, url: str, *, connections: int = CONNECTIONS, wait_s: float = WAIT_S) -> None:
        self._url = url
        self.connections = connections
        self._clients: PerLoop[redis.Redis] = PerLoop(_close)
        self.reach = Reach(self.get, wait_s)

    def asked(self, *, patient: bool = False) -> AbstractAsyncContextManager[redis.Redis]:
        """See `Reach.asked`."""
        return self.reach.asked(patient=patient)

    def get(self) -> redis.Redis:
        """The client of the running event loop; it answers in bytes."""
        return self._clients.get(None, self._connect)

    def open_connections(self) -> tuple[int, int]:
        """Connections of all loops: in use, and idle."""
        pools = [client.connection_pool for client in self._clients.values()]
        in_use = sum(len(pool._in_use_connections) for pool in pools)  # noqa: SLF001 - redis-py tells it in no other way
        return in_use, sum(len(pool._available_connections) for pool in pools)  # noqa: SLF001

    async def close(self) -> None:
        """Close the connections of every loop."""
        await self._clients.close()

    def _connect(self) -> redis.Redis:
        pool = redis.BlockingConnectionPool.from_url(
            self._url,
            max_connections=self.connections,
            timeout=ANSWER_S,
            socket_connect_timeout=CONNECT_S,
            socket_timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=30,
            **LOOKED_AT,
        )
        if not traces.are_on():
            return redis.Redis.from_pool(pool)
        from core.traces.commands import TracedRedis

        return TracedRedis.from_pool(pool)


async def _close(client: redis.Redis) -> None:
    await client.aclose()
