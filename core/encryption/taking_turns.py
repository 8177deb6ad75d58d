"""Asking in vain once for all who wait: each tenant's turn at a service that may hang."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from core.errors import Unavailable


class Turns:
    """One at a time for each tenant, in any thread. Whoever waited while another asked in vain is told what that one was."""

    def __init__(self) -> None:
        self._locks: dict[str, threading.Lock] = {}
        #: When a tenant's last turn failed, and what makes its error anew: the error itself keeps all that it came by.
        self._failed: dict[str, tuple[float, Callable[[], Unavailable]]] = {}

    @contextmanager
    def of(self, tenant: str, since: float | None = None) -> Iterator[None]:
        """The tenant's turn; `since`: when it was first waited for, on the monotonic clock (None: now).

        Raises:
            Unavailable: what the block raised for another, after `since`.
        """
        since = time.monotonic() if since is None else since
        with self._lock_of(tenant):
            failed_at, failure = self._failed.get(tenant, (0.0, None))
            if failure is not None and failed_at >= since:
                raise failure()
            try:
                yield
            except Unavailable as error:
                again = partial(Unavailable, error.message, code=error.code, context=error.context)
                self._failed[tenant] = time.monotonic(), again
                raise
            self._failed.pop(tenant, None)

    def is_taken(self, tenant: str) -> bool:
        """Whether somebody has the tenant's turn now."""
        return self._lock_of(tenant).locked()

    def _lock_of(self, tenant: str) -> threading.Lock:
        return self._locks.setdefault(tenant, threading.Lock())
