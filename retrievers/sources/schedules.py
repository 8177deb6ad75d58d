"""When a source is crawled by itself: every so many minutes, or at times of the clock as cron writes them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from core.errors import InvalidRequest

_FIELDS = 5


def next_after(schedule: Mapping[str, Any], moment: datetime) -> datetime | None:
    """The first time of the schedule after `moment`, in UTC; None where there is none any more.

    A schedule is `{"every_minutes": n}`, counted from `moment`, or `{"cron": five fields, "time_zone": a name of the IANA's}`.
    Times that a clock skips or repeats in spring and autumn are taken as Debian's cron takes them: once.
    """
    if "every_minutes" in schedule:
        return moment + timedelta(minutes=int(schedule["every_minutes"]))
    times = CronSim(schedule["cron"], moment.astimezone(_zone(schedule.get("time_zone"))))
    # in the hour that a clock repeats, the times of its first round come again
    return next((found for each in times if (found := each.astimezone(UTC)) > moment), None)


def check(schedule: Mapping[str, Any], now: datetime) -> None:
    """Raises InvalidRequest (`invalid_schedule`): a time that never comes, or what is none."""
    if "cron" in schedule and len(schedule["cron"].split()) != _FIELDS:  # a sixth would be of seconds
        raise _invalid()
    try:
        comes = next_after(schedule, now)
    except (CronSimError, ZoneInfoNotFoundError, ValueError, OSError, OverflowError) as error:
        raise _invalid() from error
    if comes is None:
        raise InvalidRequest("The times of the schedule never come.", code="invalid_schedule", param="schedule")


def _invalid() -> InvalidRequest:
    return InvalidRequest(
        "That is no schedule: `every_minutes`, or `cron` with five fields (such as `0 3 * * *`) and a `time_zone`.",
        code="invalid_schedule",
        param="schedule",
    )


def _zone(name: str | None) -> ZoneInfo:
    return ZoneInfo(name or "UTC")
