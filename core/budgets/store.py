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
        since = self.ends
        try:
            yield self.batches
        except FAILURES as error:
            self.failed(error, since)
            raise StoreAway from error

    @property
    def ends(self) -> int:
        """How often it was found to be away."""
        return self._reach.ends

    def failed(self, error: BaseException, since: int) -> None:
        """It is away, also where it answers, and refuses what it is asked. `since`: the `ends` when it was asked."""
        self._reach.failed(error, since)
