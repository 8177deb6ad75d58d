"""Moments that callers name: each with its offset from UTC, and one that UTC has as well; two of them in their order."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime

from core.errors import InvalidRequest

#: What the clocks of a caller and a server may go apart.
_CLOCKS: Final = timedelta(minutes=1)


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC.

    Raises:
        ValueError: it has no offset, or is before the year 1 or after the year 9999 there.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment without an offset from UTC")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a moment has to be within the years 1 to 9999 in UTC") from None


def refuse_backwards(since: datetime | None, until: datetime | None) -> None:
    """Raises InvalidRequest: a time that ends before it begins."""
    if since is not None and until is not None and until < since:
        raise InvalidRequest("The time ends before it begins: `from` is after `to`.", param="from")


def refuse_future(moment: datetime, param: str) -> None:
    """Raises InvalidRequest: it has not come yet, by more than clocks go apart."""
    if moment > datetime.now(UTC) + _CLOCKS:
        raise InvalidRequest(f"{param}: this time has not come yet.", param=param)


#: What a request names: with an offset, in UTC from here on.
Moment = Annotated[AwareDatetime, AfterValidator(in_utc)]
