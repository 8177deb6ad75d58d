"""How long calls took, counted in buckets, so that hours can be added up and their quantiles still be told."""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, case

#: The upper bounds of the buckets in milliseconds, 1 ms to 17 min: three in each doubling, so that a quantile is off by 26 % at
#: most, and by much less where a bucket holds several calls. What took longer is in one more.
BOUNDS = tuple(round(2 ** (number / 3), 3) for number in range(61))
#: The columns of the ledger that are counted so.
MEASURES = ("latency_ms", "first_token_ms")


def bucket_of(value_ms: float) -> int:
    """The bucket that a duration falls into."""
    return bisect_left(BOUNDS, value_ms)


def bucket_in_sql(value_ms: Any) -> ColumnElement[int]:
    """The same, as an expression over a column."""
    return case(*((value_ms <= bound, number) for number, bound in enumerate(BOUNDS)), else_=len(BOUNDS))


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """The duration in milliseconds within which this share of the calls ended, between the bounds of its bucket by its place
    among the calls there. None where none was counted."""
    total = sum(counts.values())
    if total == 0:
        return None
    wanted, before = share * total, 0
    for bucket, number in sorted(counts.items()):
        if before + number >= wanted:
            low = BOUNDS[bucket - 1] if bucket else 0.0
            high = BOUNDS[min(bucket, len(BOUNDS) - 1)]
            return round(low + (high - low) * (wanted - before) / number, 3) if high > low else high
        before += number
    return BOUNDS[-1]
