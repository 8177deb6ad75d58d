"""What a run may spend."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

#: The run has no room left for an example; an answer has no known price, and the run has a cap.
COST_CAP, UNPRICED = "cost_cap_reached", "run_unpriced"


class Stopped(Exception):
    """The run is to end before its end; the argument is the code that says why."""


class Part(StrEnum):
    """What of an example is paid for: its answer, and the models that metrics ask about it. They cost different amounts."""

    ANSWER = "answer"
    GRADING = "grading"


@dataclass(slots=True)
class Cap:
    """Room for an example is taken before it is asked, for its answer and for its grading at once: as much as the dearest of
    each so far has cost. While nothing is known of one of them, one example is worked on at a time. And no call is begun that
    finds the cap spent. `most`: None is no cap; `spent` says what has been spent by now; `dearest` is known from before."""

    most: Decimal | None
    spent: Callable[[], Decimal]
    dearest: dict[Part, Decimal] = field(default_factory=dict)
    _held: Counter[Part] = field(default_factory=Counter)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, *parts: Part) -> None:
        """Raises Stopped: there is no room, and none to come."""
        if self.most is None:
            return
        async with self._changed:
            while not self._has_room(parts, self.most - self.spent()):
                await self._changed.wait()
            self._held.update(parts)

    async def settle(self, part: Part, cost_usd: Decimal | None) -> None:
        """The part has ended and what it has cost is in `spent`. Raises Stopped: there is no price for it."""
        if cost_usd is not None:
            self.dearest[part] = max(self.dearest.get(part, Decimal(0)), cost_usd)
        await self.leave(part)
        if cost_usd is None and self.most is not None:
            raise Stopped(UNPRICED)

    async def leave(self, part: Part) -> None:
        """The part has not come to anything that would tell what it costs."""
        if self.most is None:
            return
        async with self._changed:
            self._held[part] -= 1
            self._changed.notify_all()

    def check(self, under_way_usd: Decimal | None) -> None:
        """Before a call. Raises Stopped: all is spent, what its own request has spent so far included."""
        if self.most is not None and self.spent() + (under_way_usd or Decimal(0)) >= self.most:
            raise Stopped(COST_CAP)

    def _has_room(self, parts: tuple[Part, ...], room: Decimal) -> bool:
        """Raises Stopped where it never will."""
        if room <= 0:
            raise Stopped(COST_CAP)
        alone = self._held.total() == 0
        wanted = self._held + Counter(parts)
        if any(part not in self.dearest for part in wanted):
            return alone
        if sum(self.dearest[part] * count for part, count in wanted.items()) <= room:
            return True
        if alone:
            raise Stopped(COST_CAP)
        return False
