from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.errors import InvalidRequest
from retrievers.sources.schedules import check, next_after

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)


def test_minutes_are_counted_from_the_moment() -> None:
    assert next_after({"every_minutes": 90}, NOON) == NOON + timedelta(minutes=90)


@pytest.mark.parametrize(
    ("schedule", "comes"),
    [
        ({"cron": "0 3 * * *"}, "2026-03-29T03:00"),
        ({"cron": "*/15 * * * *"}, "2026-03-28T12:15"),
        ({"cron": "0 3 * * *", "time_zone": "America/New_York"}, "2026-03-29T07:00"),
        # the night in which the clocks of Berlin go from two to three
        ({"cron": "30 2 * * *", "time_zone": "Europe/Berlin"}, "2026-03-29T01:00"),
        ({"cron": "0 9 * * 1", "time_zone": "Europe/Berlin"}, "2026-03-30T07:00"),
    ],
    ids=["daily", "quarters", "of a zone", "skipped by the clock", "after the change"],
)
def test_cron_s_times_are_those_of_the_zone(schedule: dict[str, Any], comes: str) -> None:
    check(schedule, NOON)
    assert next_after(schedule, NOON) == datetime.fromisoformat(f"{comes}+00:00")


@pytest.mark.parametrize(
    "schedule",
    [
        {"cron": "tomorrow"},
        {"cron": "61 * * * *"},
        {"cron": "* * * *"},
        {"cron": "0 0 3 * * *"},
        {"cron": "0 0 30 2 *"},
        {"cron": "0 3 * * *", "time_zone": "Nowhere/Town"},
        {"cron": "0 3 * * *", "time_zone": "../../etc/passwd"},
    ],
    ids=["words", "no minute", "four fields", "six fields", "never", "no zone", "a path"],
)
def test_what_is_no_schedule_or_never_comes_is_refused(schedule: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check(schedule, NOON)
    assert refused.value.code == "invalid_schedule"


def test_in_the_hour_that_a_clock_repeats_the_next_time_is_still_to_come() -> None:
    second_round = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # ten past two in Berlin, for the second time
    daily = {"cron": "30 2 * * *", "time_zone": "Europe/Berlin"}
    assert next_after(daily, second_round) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
