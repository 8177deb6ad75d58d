"""What providers ask to be left in peace for."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

#: Seconds that a provider may ask for at most.
LONGEST_WAIT_S = 86_400.0


def retry_after(headers: Mapping[str, Any]) -> float | None:
    """Seconds that OpenAI's `retry-after-ms` or else `Retry-After` asks for, below a day; None where neither can be read."""
    lower = {name.lower(): str(value).strip() for name, value in headers.items()}
    finer = wait_of(lower.get("retry-after-ms", ""), 1000)
    if finer is not None:
        return finer
    value = lower.get("retry-after", "")
    wait = wait_of(value)
    if wait is not None or not value:
        return wait
    try:
        moment = parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):  # a year or a zone that no calendar has
        return None
    return wait_of(max(0.0, moment - time()))


def wait_of(told: object, per_second: int = 1) -> float | None:
    """A wait in seconds of a number that a provider told; None for what is none, and for a day and more, which nobody means."""
    try:
        wait = float(str(told)) / per_second
    except ValueError:
        return None
    return max(0.0, wait) if wait < LONGEST_WAIT_S else None
