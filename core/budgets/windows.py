"""The time that a budget is for: a day, week or month of the calendar in UTC, or some hours or days that roll."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_ROLLING = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=366)
#: A rolling window moves on in so many steps.
STEPS: Final = 48
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def milliseconds(at: datetime) -> int:
    """Whole milliseconds since 1970."""
    return (at - _EPOCH) // _MILLISECOND


def moment(ms: int) -> datetime:
    """So many milliseconds after 1970 began."""
    return _EPOCH + ms * _MILLISECOND


@dataclass(frozen=True, slots=True)
class Buckets:
    """Where spending is summed now, in seconds since 1970: in `newest`, and in what lies `step` apart down to `oldest`."""

    newest: int
    oldest: int
    step: int

    @property
    def expire_s(self) -> int:
        """For how long a sum is of interest."""
        return self.newest - self.oldest + 2 * self.step


@dataclass(frozen=True, slots=True)
class Window:
    """A window as it is written: `day`, `week`, `month`, `24h`, `30d`; those of rate limits `10s`, `1m` as well.

    Raises:
        ValueError: it is none of these, or longer than a year.
    """

    text: str

    def __post_init__(self) -> None:
        if self.text not in ("day", "week", "month") and not (timedelta(0) < self._length() <= _LONGEST):
            raise ValueError("a window is day, week, month, or a time such as 24h and 30d, a year at most")

    def begin(self, now: datetime) -> datetime:
        """When what counts now began. A rolling window begins with a step of it, so that nothing is counted too late."""
        return datetime.fromtimestamp(self.buckets(now).oldest, UTC)

    @property
    def rolls(self) -> timedelta:
        """How long it is, where it rolls; else nothing."""
        return self._length()

    def end(self, now: datetime) -> datetime | None:
        """When it starts afresh; None for one that rolls."""
        begin = self._calendar(now)
        if begin is None:
            return None
        if self.text == "month":
            return (begin + timedelta(days=32)).replace(day=1)
        return begin + timedelta(days=7 if self.text == "week" else 1)

    def buckets(self, now: datetime) -> Buckets:
        return _buckets(self, int(now.timestamp()))

    def _calendar(self, now: datetime) -> datetime | None:
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if self.text == "day":
            return midnight
        if self.text == "week":
            return midnight - timedelta(days=midnight.weekday())
        return midnight.replace(day=1) if self.text == "month" else None

    def _length(self) -> timedelta:
        return _length(self.text)


@lru_cache(maxsize=256)
def _length(text: str) -> timedelta:
    found = _ROLLING.fullmatch(text)
    return timedelta(0) if found is None else timedelta(**{_UNITS[found[2]]: int(found[1])})


@lru_cache(maxsize=256)
def _buckets(window: Window, seconds: int) -> Buckets:
    """Asked for by every request, and the same for a second."""
    begin = window._calendar(datetime.fromtimestamp(seconds, UTC))  # noqa: SLF001 - its own
    if begin is not None:
        start = int(begin.timestamp())
        return Buckets(start, start, 31 * 86_400)
    length = int(window.rolls.total_seconds())
    step = max(1, length // STEPS)
    return Buckets(seconds // step * step, (seconds - length) // step * step, step)
