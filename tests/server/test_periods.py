"""Which times a report is about."""

from datetime import UTC, date, datetime

import pytest

from core.errors import InvalidRequest
from server.pages.periods import Period, Times

NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "grain", "first", "last", "number"),
    [
        ("24h", "hour", "2026-03-03T16:00:00Z", "2026-03-04T15:00:00Z", 24),
        ("7d", "day", "2026-02-26", "2026-03-04", 7),
        ("30d", "day", "2026-02-03", "2026-03-04", 30),
        ("12w", "week", "2025-12-15", "2026-03-02", 12),
        ("12m", "month", "2025-04", "2026-03", 12),
    ],
)
def test_a_period_ends_now_in_its_grain(period: Period, grain: str, first: str, last: str, number: int) -> None:
    times = Times.of(period, NOW)
    assert (times.grain, times.names[0], times.names[-1], len(times.names)) == (grain, first, last, number)
    assert times.until is None


def test_days_of_ones_own_are_told_in_a_grain_of_ones_own() -> None:
    times = Times.of("own", NOW, first=date(2026, 1, 30), last=date(2026, 2, 2))
    assert times.names == ["2026-01-30", "2026-01-31", "2026-02-01", "2026-02-02"]
    assert times.until == datetime(2026, 2, 3, tzinfo=UTC)
    assert Times.of("own", NOW, grain="month", first=date(2026, 1, 30), last=date(2026, 2, 2)).names == ["2026-01", "2026-02"]
    assert Times.of("7d", NOW, grain="week").names == ["2026-02-23", "2026-03-02"]


@pytest.mark.parametrize(
    ("grain", "first", "last"),
    [
        ("", None, date(2026, 1, 1)),
        ("", date(2026, 1, 2), date(2026, 1, 1)),
        ("hour", date(2026, 1, 1), date(2026, 1, 31)),
        ("day", date(1, 1, 1), date(9999, 12, 31)),
    ],
    ids=["no first", "wrong order", "too many hours", "past the end of time"],
)
def test_days_that_cannot_be_are_refused(grain: str, first: date | None, last: date | None) -> None:
    with pytest.raises(InvalidRequest):
        Times.of("own", NOW, grain=grain, first=first, last=last)  # type: ignore[arg-type]
