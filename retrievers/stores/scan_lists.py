"""Scans of a store that gives identifiers in no order: all are read when a scan begins, put in order, and kept for it."""

import threading
import time
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable

from retrievers.base import Shelf

#: Scans that are kept at once, and for how many seconds after they were last gone on with.
_SCANS, _KEPT_S = 8, 600.0


class ScanLists:
    """The identifiers of shelves that are being scanned, some 90 bytes for each. Thread-safe.

    A scan goes on with a list that is as new as itself or newer: what was there when it began, and still is, is in each.
    """

    def __init__(self, read: Callable[[Shelf], Iterable[str]]) -> None:
        self._read = read
        self._lists: OrderedDict[Shelf, tuple[float, list[str]]] = OrderedDict()
        self._lock = threading.Lock()

    def behind(self, shelf: Shelf, after: str, limit: int) -> list[str]:
        """The next identifiers behind `after`, which the list may still have though their chunks are gone. Fewer than `limit`
        are the last ones."""
        ids = self._begun(shelf, after) or self._begin(shelf)
        first = bisect_right(ids, after)
        found = ids[first : first + limit]
        if len(found) < limit:
            with self._lock:
                self._lists.pop(shelf, None)
        return found

    def _begun(self, shelf: Shelf, after: str) -> list[str] | None:
        """The list of a scan that has come to `after`; None where there is none."""
        with self._lock:
            used, ids = self._lists.get(shelf, (0.0, []))
            place = bisect_left(ids, after)
            if not after or place == len(ids) or ids[place] != after or time.monotonic() - used > _KEPT_S:
                return None
            self._lists[shelf] = time.monotonic(), ids
            self._lists.move_to_end(shelf)
            return ids

    def _begin(self, shelf: Shelf) -> list[str]:
        ids = sorted(self._read(shelf))
        with self._lock:
            self._lists[shelf] = time.monotonic(), ids
            self._lists.move_to_end(shelf)
            while len(self._lists) > _SCANS:
                self._lists.popitem(last=False)
        return ids
