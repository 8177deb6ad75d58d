"""Sources: how the connection pools of this process are used."""

from collections.abc import Iterator

from core.metrics import families
from core.metrics.sources import Reading
from core.pools import pools
from core.redis_clients import RedisClients


def database_pools() -> Iterator[Reading]:
    """Connections to the database."""
    for pool in pools():
        yield Reading(families.DATABASE_POOL, pool.in_use, (pool.name, "in_use"))
        yield Reading(families.DATABASE_POOL, pool.idle, (pool.name, "idle"))
        yield Reading(families.DATABASE_POOL_SIZE, pool.limit, (pool.name,))


def redis_pool(clients: RedisClients) -> Iterator[Reading]:
    """Connections to Redis or Valkey. Each event loop has as many as the limit says."""
    in_use, idle = clients.open_connections()
    yield Reading(families.REDIS_POOL, in_use, ("in_use",))
    yield Reading(families.REDIS_POOL, idle, ("idle",))
    yield Reading(families.REDIS_POOL_SIZE, clients.connections)
