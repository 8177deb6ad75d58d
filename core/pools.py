"""The connection pools of this process's engines, as operators see them, and what the settings say of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool

from core.settings import Settings

#: Pools by what they serve: requests and jobs, or a thread that keeps something.
SESSIONS, THREADS = "sessions", "threads"
#: Seconds after which a connection on which nothing comes through is given up.
_CUT_OFF_S = 5
_engines: WeakKeyDictionary[Engine, tuple[str, int]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class PoolUse:
    """Connections of all pools of a name together."""

    name: str
    in_use: int
    idle: int
    limit: int


def session_pool(settings: Settings) -> dict[str, Any]:
    """The options of an engine whose pool serves requests or jobs."""
    database = settings.database
    return {
        "pool_size": database.connections,
        "max_overflow": database.extra_connections,
        "pool_timeout": database.wait_s,
    }


def driver_options(settings: Settings) -> dict[str, Any]:
    """What psycopg is told. A pooler that gives each transaction another connection may not know statements by name. A server
    that was cut off from here without a word is found out in seconds, not in the quarter of an hour that TCP goes on trying."""
    named = {} if settings.database.prepared_statements else {"prepare_threshold": None}
    return named | {
        "connect_timeout": max(2, math.ceil(settings.database.wait_s)),  # whole seconds, and two at least, says libpq
        "tcp_user_timeout": 1000 * _CUT_OFF_S,
        "keepalives_idle": _CUT_OFF_S,
        "keepalives_interval": 2,
        "keepalives_count": 2,
    }


def watch(engine: Engine, name: str, limit: int) -> None:
    """Have the engine's pool counted, for as long as there is one."""
    _engines[engine] = name, limit


def pools() -> Iterator[PoolUse]:
    """How the pools are used now."""
    found = [(engine.pool, *facts) for engine, facts in list(_engines.items())]
    for name in (SESSIONS, THREADS):
        some = [(pool, limit) for pool, named, limit in found if named == name and isinstance(pool, QueuePool)]
        yield PoolUse(
            name,
            in_use=sum(pool.checkedout() for pool, _ in some),
            idle=sum(pool.checkedin() for pool, _ in some),
            limit=sum(limit for _, limit in some),
        )
