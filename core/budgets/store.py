"""Whether the server that counts answers: asked by the way, and once it did not, in the background. No request waits for a
server that is known to be away."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from redis.exceptions import RedisError

from core.redis_batches import ScriptBatches

log = structlog.get_logger()

#: Seconds between two questions to a server that is away.
ASK_S: Final = 0.5
_QUESTION: Final = "return 1"


class StoreAway(Exception):
    """The server cannot be asked now."""


class Store:
    """For a process with several event loops."""

    def __init__(self, batches: ScriptBatches) -> None:
        self._batches = batches
        self._away = False
        self._asking: asyncio.Task[None] | None = None

    @contextmanager
    def asked(self) -> Iterator[ScriptBatches]:
        """The scripts, for the block.

        Raises:
            StoreAway: it is known to be away, or is found to be within the block.
        """
        if self._away:
            self._ask()
            raise StoreAway
        try:
            yield self._batches
        except (RedisError, OSError, TimeoutError) as error:
            if not self._away:
                self._away = True
                log.warning("budgets.store_away", error=type(error).__name__)
            self._ask()
            raise StoreAway from error

    def _ask(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._until_back())

    async def _until_back(self) -> None:
        while self._away:
            await asyncio.sleep(ASK_S)
            try:
                await self._batches.run(_QUESTION, [], [])
            except (RedisError, OSError, TimeoutError):
                continue
            self._away = False
            log.info("budgets.store_back")
