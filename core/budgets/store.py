"""Whether the server that counts can be asked: see `core.redis_reach`. No request waits for one that is known to be away."""

from collections.abc import Iterator
from contextlib import contextmanager

from core.redis_batches import ScriptBatches
from core.redis_clients import RedisClients
from core.redis_reach import FAILURES


class StoreAway(Exception):
    """The server cannot be asked now."""


class Store:
    """For a process with several event loops."""

    def __init__(self, clients: RedisClients) -> None:
        self._reach = clients.reach
        self.batches = ScriptBatches(clients)

    @contextmanager
    def asked(self) -> Iterator[ScriptBatches]:
        """The scripts, for the block.

        Raises:
            StoreAway: it is known to be away, or is found to be within the block.
        """
        try:
            yield self.batches
        except FAILURES as error:
            self.failed(error)
            raise StoreAway from error

    def failed(self, error: BaseException) -> None:
        """It is away, also where it answers, and refuses what it is asked."""
        self._reach.failed(error)
