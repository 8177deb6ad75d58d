"""Dates that say which day: numbers, ISO, written out, weekdays. Not `this morning` or `the first three months`."""

import re
from collections.abc import Iterator

from core.redaction.entities import Entity, PIIType

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)"
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_TIME = r"(?:[T ,]{1,2}(?:at )?[0-2]?\d:[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?(?: ?(?:Z|[ap]\.?m\.?|[+-]\d\d:?\d\d))?)?"
_DATE = re.compile(
    rf"(?i)(?<![\w.,/-])(?:(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01]){_TIME}"
    rf"|(?:0?[1-9]|[12]\d|3[01])([-/.])(?:0?[1-9]|[12]\d|3[01])\1(?:\d{{4}}|\d\d){_TIME}"
    rf"|{_DAY}(?: of)? {_MONTH}\.?(?:,? (?:19|20)\d\d)?{_TIME}"
    rf"|{_MONTH}\.? {_DAY}(?:,? (?:19|20)\d\d)?{_TIME}"
    rf"|{_MONTH}\.? (?:19|20)\d\d"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day)(?![\w/]|[.-]\d)"
)


def find(text: str) -> Iterator[Entity]:
    """The dates of a text."""
    for match in _DATE.finditer(text):
        yield Entity(PIIType.DATE_TIME, *match.span(), 0.8)
