"""Warnings that repeat: the first is told at once, the others of a minute are counted, so that an outage fills no disk."""

import threading
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

Event = MutableMapping[str, Any]

WINDOW_S = 60.0
#: Different lines a minute that are told apart. Beyond it, those of one name are counted together.
MOST = 1000
#: How many of a kind are told before they are counted, by level; the others are never counted. Of errors some more: each may
#: be what one caller asks about by the request's identifier.
_FREE = {"warning": 1, "error": 10, "critical": 10}
#: Fields that say which occurrence it is, not what happened.
_OF_ONE = frozenset(
    {
        "timestamp",
        "level",
        "message",
        "path",
        "exception",
        *(f"{name}_id" for name in ("request", "trace", "span", "job", "document", "batch", "session")),
        "row",
        "notice",
        "family",
        "kid",
    }
)

Slot = tuple[Any, ...]


@dataclass(slots=True)
class _Window:
    ends: float
    passed: int = 1
    repeated: int = 0
    last: Event | None = None


class Repeats:
    """Counts within windows of time. Thread-safe; times are on the monotonic clock."""

    def __init__(self, window_s: float = WINDOW_S, most: int = MOST) -> None:
        self._window_s = window_s
        self._most = most
        self._windows: dict[Slot, _Window] = {}
        self._lock = threading.Lock()
        #: Set once something is counted, so that whoever tells of it wakes up.
        self.counted = threading.Event()

    def passes(self, event: Event) -> bool:
        """Whether the line is to be written; where it is not, it is counted."""
        free = _FREE.get(event["level"])
        if free is None or event.get("stream") == "audit" or "repeated" in event:
            return True
        slot = _slot(event)
        with self._lock:
            now = time.monotonic()
            if slot not in self._windows and len(self._windows) >= self._most:
                self._forget(now)
                if len(self._windows) >= self._most:
                    slot = (event["event"],)
            window = self._windows.get(slot)
            if window is None or (window.ends <= now and window.last is None):
                self._windows[slot] = _Window(now + self._window_s)
                return True
            if window.passed < free:
                window.passed += 1
                return True
            window.repeated += 1
            event.pop("exc_info", None)  # its frames would be held for a minute, with all that is in them
            window.last = event
        self.counted.set()
        return False

    def ended(self, *, all_of_them: bool = False) -> list[Event]:
        """The last line of each window that has ended and counted something, with `repeated`, how many were held back."""
        events: list[Event] = []
        with self._lock:
            now = time.monotonic()
            for slot, window in list(self._windows.items()):
                if window.last is None or not (all_of_them or window.ends <= now):
                    continue
                events.append({**window.last, "repeated": window.repeated})
                # what goes on is not told anew at once: its next window begins here
                self._windows[slot] = _Window(now + self._window_s, passed=max(_FREE.values()))
            if all(window.last is None for window in self._windows.values()):
                self.counted.clear()
        return events

    def _forget(self, now: float) -> None:
        self._windows = {slot: each for slot, each in self._windows.items() if each.ends > now or each.last is not None}


def _slot(event: Event) -> Slot:
    """What makes two lines the same: name, level, and texts that do not belong to one occurrence."""
    template = event.get("_template")  # of a library's line: what its values are put into
    return (event["event"], event["level"], template, *_texts(event))


def _texts(fields: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = []
    for name, value in fields.items():
        if name in _OF_ONE:
            continue
        if isinstance(value, str):
            found.append((name, value))
        elif isinstance(value, Mapping):
            found += _texts(value)
        elif isinstance(value, list | tuple):
            found.append((name, *map(str, value)))
    return found
