"""Moments that callers name."""

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from core.moments import Moment, in_utc

MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


@pytest.mark.parametrize(
    "said",
    ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999999-00:01", "2026-01-01T00:00:00"],
)
def test_a_moment_that_utc_does_not_have_is_refused(said: str) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_python(said)
    with pytest.raises(ValueError, match="moment"):
        in_utc(datetime.fromisoformat(said))


@pytest.mark.parametrize("said", ["0001-01-01T00:00:00-23:59", "9999-12-31T23:59:59+23:59", "2026-01-01T01:30:00+01:30"])
def test_a_moment_with_an_offset_is_told_in_utc(said: str) -> None:
    found = MOMENT.validate_python(said)
    assert (found, found.tzinfo) == (datetime.fromisoformat(said), UTC)
