"""What a run may spend."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

#: The run has no room left for an example; an answer has no known price, and the run has a cap.
COST_CAP, UNPRICED = "cost_cap_reached", "run_unpriced"


class Stopped(Exception):
    """The run is to end before its end; the argument is the code that says why."""


@dataclass(slots=True)
class Cap:
    """Room for an example is taken before it is asked: as much as the dearest so far has cost. The first, of which nothing is
    known, is asked by itself. `most`: None is no cap; `spent` says what has been spent by now."""

    most: Decimal | None
    spent: Callable[[], Decimal]
    _dearest: Decimal | None = None
    _held: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self) -> None:
        """Raises Stopped: there is no room, and none to come."""
        if self.most is None:
            return
        async with self._changed:
            while not self._has_room(self.most - self.spent()):
                await self._changed.wait()
            self._held += 1

    async def settle(self, cost_usd: Decimal | None) -> None:
        """The example has ended and its cost is counted. Raises Stopped: there is no price for it."""
        if self.most is None:
            return
        async with self._changed:
            self._held -= 1
            if cost_usd is not None:
                self._dearest = max(self._dearest or Decimal(0), cost_usd)
            self._changed.notify_all()
        if cost_usd is None:
            raise Stopped(UNPRICED)

    def _has_room(self, room: Decimal) -> bool:
        """Raises Stopped where it never will."""
        if room <= 0:
            raise Stopped(COST_CAP)
        if self._dearest is None:
            return self._held == 0
        if self._dearest * (self._held + 1) <= room:
            return True
        if self._held == 0:
            raise Stopped(COST_CAP)
        return False
