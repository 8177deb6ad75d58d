"""A stretch of time in its grain: which hours, days, weeks or months a report is about, by the names that it gives them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

from core.errors import InvalidRequest

Period = Literal["24h", "7d", "30d", "12w", "12m", "own"]
Grain = Literal["", "hour", "day", "week", "month"]
PERIODS: Final[dict[str, str]] = {
    "24h": "24 hours",
    "7d": "7 days",
    "30d": "30 days",
    "12w": "12 weeks",
    "12m": "12 months",
    "own": "from a day to a day",
}
GRAINS: Final[dict[str, str]] = {"": "as it fits", "hour": "hours", "day": "days", "week": "weeks", "month": "months"}
_SHAPES: Final = {"hour": "%Y-%m-%dT%H:00:00Z", "day": "%Y-%m-%d", "week": "%Y-%m-%d", "month": "%Y-%m"}
_STEPS: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
#: More columns than a chart can show, or a page of a table.
MOST_TIMES: Final = 400


@dataclass(frozen=True, slots=True)
class Times:
    """From `since` on and before `until` (None: until now); `names` are its times, the newest last."""

    grain: str
    since: datetime
    until: datetime | None
    names: list[str]

    @classmethod
    def of(
        cls, period: Period, now: datetime, *, grain: Grain = "", first: date | None = None, last: date | None = None
    ) -> "Times":
        """The time of a period; of one's own, from the day `first` to the day `last`, both with it.

        Raises:
            InvalidRequest: its days are missing, in the wrong order, or too many for the grain.
        """
        until = None
        if period == "own":
            since, until = _own(first, last)
            fits = "hour" if until - since <= timedelta(days=2) else "day" if until - since <= timedelta(days=92) else "month"
        else:
            since, fits = _ending(period, now)
        chosen = grain or fits
        times = list(_times(chosen, since, until or now))
        if len(times) > MOST_TIMES:
            raise InvalidRequest(f"That is more than {MOST_TIMES} {chosen}s: choose a coarser grain.", param="grain")
        return cls(chosen, since, until, [time.strftime(_SHAPES[chosen]) for time in times])


def _own(first: date | None, last: date | None) -> tuple[datetime, datetime]:
    if first is None or last is None or last < first:
        raise InvalidRequest("Say from which day to which, in this order.", param="first")
    try:
        begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
        return begin, datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    except OverflowError:
        raise InvalidRequest("There is no day after the last one.", param="last") from None


def _ending(period: str, now: datetime) -> tuple[datetime, str]:
    """Where a period that ends now begins, and the grain that fits it."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    if period == "24h":
        return hour - timedelta(hours=23), "hour"
    if period == "12w":
        return day - timedelta(days=day.weekday(), weeks=11), "week"
    if period == "12m":
        year, month = divmod(day.year * 12 + day.month - 1 - 11, 12)
        return day.replace(year=year, month=month + 1, day=1), "month"
    return day - timedelta(days=int(period.removesuffix("d")) - 1), "day"


def _times(grain: str, since: datetime, until: datetime) -> Iterator[datetime]:
    """One more than may be shown, at most."""
    at = since
    if grain == "week":
        at -= timedelta(days=at.weekday())
    elif grain == "month":
        at = at.replace(day=1)
    if grain != "hour":
        at = at.replace(hour=0)
    for _ in range(MOST_TIMES + 1):
        if at >= until:
            return
        yield at
        at = at + _STEPS[grain] if grain in _STEPS else (at + timedelta(days=32)).replace(day=1)
