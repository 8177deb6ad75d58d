"""How many calls may be repeated over all requests, so that an outage is not answered with twice the load."""

import time

#: Calls that may be repeated at once after a quiet time, and how many a second come back without any request.
RESERVE = 10.0
A_SECOND = 0.5


class RetryBudget:
    """A bucket: each request puts `share` in, each repeated call takes one out."""

    __slots__ = ("_at", "_level", "_share")

    def __init__(self, share: float) -> None:
        self._share = share
        self._level = RESERVE
        self._at = time.monotonic()

    def earn(self) -> None:
        """A request has come."""
        self._level = min(RESERVE, self._level + self._share)

    def spend(self) -> bool:
        """Whether a call may be repeated; then it is paid for."""
        now = time.monotonic()
        self._level = min(RESERVE, self._level + (now - self._at) * A_SECOND)
        self._at = now
        if self._share == 0 or self._level < 1:
            return False
        self._level -= 1
        return True
