"""Refusals that repeat: the first is put on record at once, the others of a minute are counted, so that nobody floods the log.

What was done is never counted together, but for tokens that programs fetch, perhaps for each of their requests.
"""

from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address, ip_network

from core.audit.actions import Action, Outcome
from core.audit.events import Event
from core.principals import ANONYMOUS

WINDOW_S = 60.0
#: Different events a minute that are told apart. Beyond it, those of one action are counted together.
MOST = 1000

#: What succeeds and is counted all the same.
_FREQUENT = frozenset({Action.TOKEN_ISSUED})
#: Details by which two refusals are not the same: whose last one alone is told would hide the others.
_TELLING = ("method", "guard", "side", "place", "types", "alias", "provider", "wanted", "collection")

Slot = tuple[str | None, ...]


@dataclass(slots=True)
class _Window:
    ends: float
    repeated: int = 0
    last: Event | None = None


class Throttle:
    """Counts repetitions within windows of time. Not thread-safe; times are on the monotonic clock."""

    def __init__(self, window_s: float = WINDOW_S, most: int = MOST) -> None:
        self._window_s = window_s
        self._most = most
        self._windows: dict[Slot, _Window] = {}

    def passes(self, event: Event, now: float) -> bool:
        """Whether the event is to be put on record now; where it is not, it is counted."""
        if event.outcome is Outcome.SUCCESS and event.action not in _FREQUENT:
            return True
        slot = _slot(event)
        if slot not in self._windows and len(self._windows) >= self._most:
            slot = (event.tenant, event.action)
        window = self._windows.get(slot)
        if window is None:
            self._windows[slot] = _Window(now + self._window_s)
            return True
        window.repeated += 1
        window.last = event
        return False

    def ended(self, now: float) -> list[Event]:
        """What was counted in windows that have ended: the last event of each, with `repeated`, how often it was held back."""
        over = [(slot, window) for slot, window in self._windows.items() if window.ends <= now]
        events = []
        for slot, window in over:
            del self._windows[slot]
            if window.last is not None:
                events.append(replace(window.last, details=window.last.details | {"repeated": window.repeated}))
                self._windows[slot] = _Window(max(now, window.ends) + self._window_s)
        return events

    def rest(self) -> list[Event]:
        """What is counted and not told yet, whether its window has ended or not."""
        return self.ended(float("inf"))

    def next_end(self) -> float | None:
        """When the next window ends; None where there is none."""
        return min((window.ends for window in self._windows.values()), default=None)


def _slot(event: Event) -> Slot:
    """What makes two events the same. Of an anonymous caller only the place is known: of IPv6, the network of a site."""
    place = _site(event.address) if event.actor == ANONYMOUS.id else None
    told = (str(event.details[name]) if name in event.details else None for name in _TELLING)
    return (event.tenant, event.action, event.actor, event.key_id, *(event.on or (None, None)), place, *told)


def _site(address: str | None) -> str | None:
    try:
        place = ip_address(address or "")
    except ValueError:
        return None
    return str(ip_network(f"{place}/64", strict=False)) if isinstance(place, IPv6Address) else str(place)
