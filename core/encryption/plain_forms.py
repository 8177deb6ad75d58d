"""What a value that was never sealed has to look like, in each column that is sealed.

A value from before encryption was on is read as it is, and nothing proves it: what has not the form of its column was put there
by somebody else, and is no more read than a sealed value that was changed.
"""

from collections.abc import Mapping
from typing import Any

from core.redaction.replacement import PSEUDONYM


def is_object(value: Any) -> bool:
    """Every JSON column that is sealed holds an object."""
    return isinstance(value, Mapping)


def is_message(value: Any) -> bool:
    """A message of a conversation, as far as it is known here: somebody says it."""
    return is_object(value) and isinstance(value.get("role"), str)


def is_privacy(value: Any) -> bool:
    """The pseudonyms of a conversation: `values` by pseudonym, and lists of those that were `given` and of what was `said`."""
    if not is_object(value) or not value.keys() <= {"values", "given", "said"}:
        return False
    lists = [value.get("given", []), value.get("said", [])]
    values = value.get("values", {})
    if not is_secrets(values) or not all(map(PSEUDONYM.fullmatch, values)):
        return False
    return all(isinstance(each, list) and _are_texts(each) for each in lists)


def is_secrets(value: Any) -> bool:
    """Texts by their names."""
    return is_object(value) and _are_texts(value.values())


def _are_texts(values: Any) -> bool:
    return all(isinstance(each, str) for each in values)
