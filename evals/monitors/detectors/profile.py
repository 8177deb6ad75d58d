"""What is usual at a time of day, apart for working days and weekends: medians of slots over the last days, in UTC."""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from evals.monitors.detectors.tuning import Tuning

_DAY = 86_400.0
#: Values that are remembered of the slot that is going on.
_MOST = 120
#: From so many days on a slot's median stands for itself; before, its neighbours help.
_ENOUGH_DAYS = 3
#: Slots that are over whose values can be taken back.
_TAKEN_BACK = 8


class Profile:
    """`expected` says what is usual, `learn` is given what has come. What is remembered: some values a slot."""

    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self._number = round(_DAY / tuning.slot_s)
        self._slots: dict[int, list[float]] = {}
        self._usual: dict[int, float] = {}
        self._now: list[float] = []
        self._slot: int | None = None
        self._began = 0.0
        self._last: list[tuple[int, float]] = []

    def expected(self, at: float) -> tuple[float, float] | None:
        """The least and the most that is usual at that time, its tolerance considered; None where that is not known."""
        late = self._tuning.tolerance_s
        found = [self._between(at, at + shift) for shift in (-late, 0.0, late)]
        known = [value for value in found if value is not None]
        return (min(known), max(known)) if len(known) == len(found) else None

    def learn(self, at: float, value: float) -> None:
        """Take a value in. Times only grow."""
        slot = self._slot_of(at)
        if slot != self._slot or at - self._began > self._tuning.slot_s:
            self._close()
            self._slot, self._began = slot, at
        if len(self._now) < _MOST:
            self._now.append(value)

    def forget_since(self, since: float) -> None:
        """Take back what was learned since, as far as it is remembered apart."""
        self._now.clear()
        while self._last and self._last[-1][1] >= since:
            slot, _ = self._last.pop()
            values = self._slots.get(slot, [])
            if values:
                values.pop()
            if not values:
                self._slots.pop(slot, None)
        self._settle()

    def shift(self, by: float) -> None:
        """From now on all is usually so much more."""
        self._slots = {slot: [value + by for value in values] for slot, values in self._slots.items()}
        self._now.clear()
        self._last.clear()
        self._settle()

    def state(self) -> dict[str, Any]:
        """What is remembered, as JSON takes it."""
        slots = {str(slot): [_rounded(value) for value in values] for slot, values in self._slots.items()}
        last = [list(each) for each in self._last]
        return {"slots": slots, "now": [_rounded(value) for value in self._now], "slot": self._slot, "began": self._began} | {
            "last": last
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self._slots = {int(slot): list(values) for slot, values in state["slots"].items()}
        self._now, self._slot, self._began = list(state["now"]), state["slot"], state["began"]
        self._last = [(int(slot), float(ended)) for slot, ended in state["last"]]
        self._settle()

    def _slot_of(self, at: float) -> int:
        day, second = divmod(at, _DAY)
        weekend = int(day + 4) % 7 in (0, 6)  # 1970 began on a Thursday
        return int(second / self._tuning.slot_s) + (self._number if weekend else 0)

    def _close(self) -> None:
        if self._slot is not None and len(self._now) >= self._tuning.slot_points:
            values = self._slots.setdefault(self._slot, [])
            values.append(self._tuning.centre(self._now))
            del values[: -self._tuning.days]
            self._last.append((self._slot, self._began + self._tuning.slot_s))
            del self._last[:-_TAKEN_BACK]
            self._settle()
        self._now.clear()

    def _settle(self) -> None:
        raw = {slot: self._tuning.centre(values) for slot, values in self._slots.items()}
        self._usual = {}
        for slot, value in raw.items():
            self._usual[slot] = value
            if len(self._slots[slot]) < _ENOUGH_DAYS:
                beside = [raw.get(self._next(slot, step)) for step in (-1, 1)]
                self._usual[slot] = fmean([value, value, *(value if each is None else each for each in beside)])

    def _next(self, slot: int, step: int) -> int:
        half, place = divmod(slot, self._number)
        return half * self._number + (place + step) % self._number

    def _between(self, today: float, at: float) -> float | None:
        """The value at `at`, between the middles of two slots, of the kind of day that it is `today`."""
        first = self._slot_of(today) // self._number * self._number
        place = (at % _DAY) / self._tuning.slot_s - 0.5
        lower = int(place // 1)
        share = place - lower
        one = self._usual.get(first + lower % self._number)
        other = self._usual.get(first + (lower + 1) % self._number)
        return None if one is None or other is None else one + share * (other - one)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
