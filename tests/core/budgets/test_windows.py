"""Windows of the calendar and windows that roll."""

from datetime import UTC, datetime, timedelta

import pytest

from core.budgets import Window
from core.budgets.windows import STEPS

SUNDAY = datetime(2026, 3, 1, 13, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("day", datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        ("week", datetime(2026, 2, 23, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        ("month", datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)),
    ],
)
def test_the_calendar_is_in_utc(text: str, begin: datetime, end: datetime) -> None:
    assert (Window(text).begin(SUNDAY), Window(text).end(SUNDAY)) == (begin, end)


def test_the_last_month_of_a_year_ends_with_it() -> None:
    assert Window("month").end(datetime(2026, 12, 31, 23, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("text", "length"), [("1h", timedelta(hours=1)), ("30d", timedelta(days=30))])
def test_a_rolling_window_counts_all_of_its_length_and_a_step_more_at_most(text: str, length: timedelta) -> None:
    window = Window(text)
    begin = window.begin(SUNDAY)
    assert SUNDAY - length - length / STEPS <= begin <= SUNDAY - length
    assert window.end(SUNDAY) is None


@pytest.mark.parametrize("text", ["", "year", "0d", "d", "1.5h", "367d", "-1d", "10000h", "30D", "day "])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="window"):
        Window(text)
